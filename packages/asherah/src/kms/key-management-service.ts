import type { MaybePromise } from '../maybe-promise.ts'

/**
 * What wraps system keys under a master key that never leaves it.
 *
 * `encryptKey` is lent the 32 bytes of a system key: they are overwritten when the returned promise settles (or at once,
 * for a plain value), so they must not be kept. The bytes that `decryptKey` returns are moved into guarded memory and
 * overwritten in place.
 *
 * @example
 * ```ts
 * const kms: KeyManagementService = {
 *   encryptKey: async (key) => await hsm.wrap(key),
 *   decryptKey: async (encryptedKey) => await hsm.unwrap(encryptedKey),
 * }
 * ```
 */
export interface KeyManagementService {
  /** What is stored as the system key's `Key`; opaque bytes, any length. Throws or rejects when the KMS cannot be reached. */
  encryptKey(key: Uint8Array): MaybePromise<Uint8Array>
  /** The 32 bytes that were given to `encryptKey`. */
  decryptKey(encryptedKey: Uint8Array): MaybePromise<Uint8Array>
  /** Ends what the KMS itself opened. Called once, when the factory closes. */
  close?(): MaybePromise<void>
}
