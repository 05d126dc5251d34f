import type { EnvelopeKeyRecord, KeyMeta } from '../metastore/metastore.ts'

/** A key's row as an operator sees it. */
export interface KeyRow extends KeyMeta {
  readonly record: EnvelopeKeyRecord
  /** What the row was when it was read, for the store it is of: a change of it needs the row unchanged. */
  readonly version: unknown
}

/** A row that is there and cannot be understood. */
export interface DamagedRow {
  readonly keyId: string
  /** The row's own time, as the store shows it. */
  readonly created: string
  /** One sentence that quotes nothing of the row. */
  readonly problem: string
}

/** A part of a list. */
export interface KeyPage {
  /** In the store's own order; all generations of an id one after the other, except on DynamoDB. */
  readonly rows: readonly KeyRow[]
  readonly damaged: readonly DamagedRow[]
  /** Where the next part begins; absent after the last one. A part may be empty and yet not be the last. */
  readonly next?: string
}

/** Which rows. */
export interface KeyQuery {
  /** Rows whose id begins with it. */
  readonly prefix?: string
  /** Rows of exactly this id. */
  readonly keyId?: string
  /** {@link KeyPage.next} of the part before. */
  readonly from?: string
  /** Most rows of a part; 1,000 unless said. */
  readonly limit?: number
}

/** A row as a store hands it over, not yet understood. */
export interface RawRow {
  readonly keyId: string
  /** Unix seconds; undefined when the row's time is none. */
  readonly created: number | undefined
  /** The row's time as the store shows it. */
  readonly shownTime: string
  /** Reads the record; throws what is wrong with it. */
  readonly decode: (created: number) => EnvelopeKeyRecord
  readonly version: unknown
}

export interface RawPage {
  readonly rows: readonly RawRow[]
  readonly next?: string
}

/** What a backend does for {@link MetastoreAdmin}; it knows nothing of reserved rows or of what revoked means. */
export interface RowStore {
  page(query: Required<Pick<KeyQuery, 'limit'>> & Omit<KeyQuery, 'limit'>): Promise<RawPage>
  get(keyId: string, created: number): Promise<RawRow | undefined>
  /** Puts the record in the row's place where its version is still `version`; false where it is not, or the row is gone. */
  replace(keyId: string, created: number, version: unknown, record: EnvelopeKeyRecord): Promise<boolean>
  /** False when there was no such row. */
  remove(keyId: string, created: number): Promise<boolean>
  close(): Promise<void>
}
