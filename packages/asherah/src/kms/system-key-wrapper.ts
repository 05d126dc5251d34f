import { isUint8Array } from 'node:util/types'
import type { Work } from '../engine/work.ts'
import { settled } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { secretBytes } from '../secret-bytes.ts'
import type { KeyManagementService } from './key-management-service.ts'

/** A KMS as the hierarchy uses it: by handle, so that a system key's bytes appear in JavaScript only where they must. */
export interface SystemKeyWrapper {
  wrap(key: KeyHandle): Work<Uint8Array>
  /** The handle is the caller's to release. */
  unwrap(encryptedKey: Uint8Array): Work<KeyHandle>
  close(): Work<void>
}

const keyBytes = 32

/** A KMS that works on bytes: lends them in memory of its own and overwrites it as soon as the call has settled. */
export class BytesKmsWrapper implements SystemKeyWrapper {
  readonly #native: NativeBinding
  readonly #kms: KeyManagementService

  constructor(native: NativeBinding, kms: KeyManagementService) {
    this.#native = native
    this.#kms = kms
  }

  *wrap(key: KeyHandle): Work<Uint8Array> {
    const bytes = secretBytes(keyBytes)
    try {
      checked(this.#native.keyExport(key, bytes))
      const encryptedKey = yield* settled(this.#kms.encryptKey(bytes))
      if (!isUint8Array(encryptedKey) || encryptedKey.length === 0) {
        throw new TypeError('encryptKey did not answer with a Uint8Array')
      }
      // A copy: it may be the very buffer that was lent, or one that the KMS uses again.
      return new Uint8Array(encryptedKey)
    } catch (cause) {
      throw kmsFailure('wrap a new', cause)
    } finally {
      bytes.fill(0)
    }
  }

  *unwrap(encryptedKey: Uint8Array): Work<KeyHandle> {
    let bytes: Uint8Array | undefined
    try {
      // A copy: the metastore may still hold what it answered with, and a KMS may work in place.
      bytes = yield* settled(this.#kms.decryptKey(new Uint8Array(encryptedKey)))
      if (!isUint8Array(bytes) || bytes.length !== keyBytes) {
        throw new TypeError('decryptKey did not answer with the 32 bytes of a key')
      }
      // A KMS that keeps its answers gives one that was overwritten here; what it seals, anybody could open.
      if (bytes.every((byte) => byte === 0)) {
        throw new TypeError(
          'decryptKey answered with zeroes: its answers are overwritten, so it must not keep them',
        )
      }
      return checked(this.#native.keyImport(bytes)) as KeyHandle
    } catch (cause) {
      throw kmsFailure('unwrap a', cause)
    } finally {
      if (isUint8Array(bytes)) bytes.fill(0)
    }
  }

  *close(): Work<void> {
    if (this.#kms.close !== undefined) yield* settled(this.#kms.close())
  }
}

/** The error of a KMS that failed, with its own error as the cause. */
export function kmsFailure(doing: string, cause: unknown): AsherahError {
  if (cause instanceof AsherahError) return cause
  return new AsherahError(
    'ERR_KMS',
    `The KMS could not ${doing} system key; its own error is the cause of this one. Keys in memory serve on.`,
    { cause },
  )
}
