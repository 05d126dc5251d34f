import type { KeyMeta } from './metastore/metastore.ts'

/** How many more bytes what is sealed has than what was: the tag's 16 and the nonce's 12 (contract section 2.1). */
export const sealOverheadBytes = 28
/** Bytes of a key of 32 that is sealed under another one, as a record holds its data row key. */
export const wrappedKeyBytes = 32 + sealOverheadBytes

/** A DataRowRecord as a protocol other than JSON carries it: its bytes as bytes. Nothing in it is trusted. */
export interface RecordFields {
  /** Unix seconds; for information only. */
  readonly created: number
  /** The data row key, sealed under `parent`. */
  readonly key: Uint8Array
  readonly parent: KeyMeta
  readonly data: Uint8Array
}

/** Data to seal, and where a new record's bytes go: {@link wrappedKeyBytes} at `keyAt`, the sealed data at `dataAt` of `out`. */
export interface DataToSeal {
  readonly data: Uint8Array
  readonly out: Uint8Array
  readonly keyAt: number
  readonly dataAt: number
}

/** The times of a new record. Its parent's id is the session's own. */
export interface RecordTimes {
  /** Unix seconds, as the next one. */
  readonly created: number
  readonly parentCreated: number
}
