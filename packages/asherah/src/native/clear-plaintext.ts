import { isUint8Array } from 'node:util/types'
import { argumentError } from '../errors.ts'
import { loadNative } from './load.ts'
import { plaintextsOf } from './plaintexts.ts'

/**
 * Overwrites decrypted bytes with zeroes, in place. Any `Uint8Array` can be given; null and undefined do nothing.
 *
 * @throws TypeError `ERR_INVALID_ARG_TYPE` for anything else
 * @example
 * ```ts
 * const secret = session.decrypt(record)
 * use(secret)
 * clearPlaintext(secret)
 * ```
 */
export function clearPlaintext(bytes: Uint8Array | null | undefined): void {
  if (bytes === null || bytes === undefined) return
  if (!isUint8Array(bytes)) throw argumentError('bytes', 'a Uint8Array', bytes)
  plaintextsOf(loadNative()).clear(bytes)
}
