import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { wrapKey } from '../native/wrap-key.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'

/** A master key that the configuration gives (contract section 2.5.2), held and used in guarded memory only. */
export class StaticKms implements SystemKeyWrapper {
  readonly #native: NativeBinding
  readonly #masterKey: KeyHandle

  /** The handle stays the caller's to release. */
  constructor(native: NativeBinding, masterKey: KeyHandle) {
    this.#native = native
    this.#masterKey = masterKey
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *wrap(key: KeyHandle): Work<Uint8Array> {
    return wrapKey(this.#native, key, this.#masterKey)
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

  *close(): Work<void> {}
}
