import type { MaybePromise } from '../maybe-promise.ts'

/** Names one generation of a key: its id and the time it was made. */
export interface KeyMeta {
  readonly keyId: string
  /** Unix seconds. */
  readonly created: number
}

/** A system or intermediate key as a metastore keeps it: wrapped, never in clear (contract section 2.3). */
export interface EnvelopeKeyRecord {
  /** Unix seconds; equals the row's own. */
  readonly created: number
  /** A system key: what the KMS returned. An intermediate key: 60 bytes sealed under its system key. */
  readonly encryptedKey: Uint8Array
  /** The system key of an intermediate key; absent on a system key. */
  readonly parentKeyMeta?: KeyMeta
  /** Absent means false. */
  readonly revoked?: boolean
}

/**
 * Where wrapped keys rest. Rows are inserted once and never changed or deleted through this interface.
 *
 * Methods may return plain values (then synchronous calls never wait) or promises. A method throws, or rejects, when the
 * store cannot be reached or a row cannot be understood: that is never the same as "absent".
 *
 * @example
 * ```ts
 * const rows = new Map<string, EnvelopeKeyRecord>()
 * const metastore: Metastore = {
 *   load: (keyId, created) => rows.get(JSON.stringify([keyId, created])),
 *   loadLatest: (keyId) =>
 *     [...rows].filter(([key]) => JSON.parse(key)[0] === keyId).map(([, row]) => row)
 *       .reduce<EnvelopeKeyRecord | undefined>((a, b) => (a !== undefined && a.created > b.created ? a : b), undefined),
 *   store(keyId, created, record) {
 *     const key = JSON.stringify([keyId, created])
 *     if (rows.has(key)) return false
 *     rows.set(key, record)
 *     return true
 *   },
 * }
 * ```
 */
export interface Metastore {
  /** The row of exactly this id and time (Unix seconds), or undefined when there is none. */
  load(keyId: string, created: number): MaybePromise<EnvelopeKeyRecord | undefined>
  /** The row of this id with the greatest `created`, or undefined when there is none. */
  loadLatest(keyId: string): MaybePromise<EnvelopeKeyRecord | undefined>
  /** Inserts the row and answers true; answers false, and changes nothing, when that id and time exist already. */
  store(keyId: string, created: number, record: EnvelopeKeyRecord): MaybePromise<boolean>
  /**
   * Optional: {@link loadLatest} for many ids in one go; ids without a row are not in the answer. Where it is offered,
   * look-ups that are asked for together are gathered.
   */
  loadLatestMany?(keyIds: readonly string[]): MaybePromise<ReadonlyMap<string, EnvelopeKeyRecord>>
  /** Appended to the ids of newly written keys; absent or empty for none (contract section 1.3). */
  readonly regionSuffix?: string
  /** Ends what the metastore itself opened. Called once, when the factory closes. */
  close?(): MaybePromise<void>
}
