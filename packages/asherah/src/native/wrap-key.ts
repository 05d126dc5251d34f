import { type KeyHandle, keyLength, type NativeBinding, unwrapAuthentication } from './binding.ts'
import { checked } from './checked.ts'

/** Bytes of a wrapped key: nonce, ciphertext and tag (contract section 2.1). */
const wrappedBytes = 60

/**
 * This thread's place for a wrapped key while the addon reads or writes it: V8 moves a small array out of its heap when an
 * addon looks at it, which costs as much as the wrapping.
 */
const place = new Uint8Array(wrappedBytes)

/** The 60 bytes of AEAD(key, under). */
export function wrapKey(native: NativeBinding, key: KeyHandle, under: KeyHandle): Uint8Array {
  checked(native.keyWrap(key, under, place))
  return new Uint8Array(place)
}

/** The key, a handle to be released; undefined when it does not open under the other. */
export function unwrapKey(
  native: NativeBinding,
  wrapped: Uint8Array,
  under: KeyHandle,
): KeyHandle | undefined {
  if (wrapped.length !== wrappedBytes) return undefined
  place.set(wrapped)
  const key = native.keyUnwrap(place, under)
  return key === unwrapAuthentication || key === keyLength ? undefined : (checked(key) as KeyHandle)
}
