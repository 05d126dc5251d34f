import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'

/** A master key that the configuration gives (contract section 2.5.2), held and used in guarded memory only. */
export class StaticKms implements SystemKeyWrapper {
  readonly #native: NativeBinding
  readonly #masterKey: KeyHandle

  /** Takes over the handle. */
  constructor(native: NativeBinding, masterKey: KeyHandle) {
    this.#native = native
    this.#masterKey = masterKey
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *wrap(key: KeyHandle): Work<Uint8Array> {
    const wrapped = this.#native.keyWrap(key, this.#masterKey)
    if (typeof wrapped !== 'number') return wrapped
    checked(wrapped)
    throw new TypeError('keyWrap answered a number')
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *unwrap(encryptedKey: Uint8Array): Work<KeyHandle> {
    const key = this.#native.keyUnwrap(encryptedKey, this.#masterKey)
    if (key >= 0) return key
    try {
      return checked(key) as KeyHandle
    } catch (cause) {
      throw new AsherahError(
        'ERR_KMS',
        'The static master key does not open a system key: another master key sealed it, or its row was damaged. ' +
          'Check staticMasterKeyHex against the one that wrote this metastore.',
        { cause },
      )
    }
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *close(): Work<void> {
    this.#native.keyRelease(this.#masterKey)
  }
}
