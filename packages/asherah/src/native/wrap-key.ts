import type { KeyHandle, NativeBinding } from './binding.ts'
import { checked } from './checked.ts'

/** Bytes of a wrapped key: nonce, ciphertext and tag (contract section 2.1). */
const wrappedBytes = 60

/** The 60 bytes of AEAD(key, under). Into an array of ours: one that the addon makes costs seven times the wrapping. */
export function wrapKey(native: NativeBinding, key: KeyHandle, under: KeyHandle): Uint8Array {
  const wrapped = new Uint8Array(wrappedBytes)
  checked(native.keyWrap(key, under, wrapped))
  return wrapped
}
