import type { KeyMeta } from './metastore/metastore.ts'

/** Bytes of the data row key as a record holds it, and how many more the sealed data has than the data. */
export const wrappedKeyBytes = 60
export const sealOverheadBytes = 28

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
