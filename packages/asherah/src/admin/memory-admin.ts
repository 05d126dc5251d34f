import { checkKeyRecord } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { RawPage, RawRow, RowStore } from './key-row.ts'
import { cursorOf } from './sql-admin.ts'

/** What the memory metastore lends: its rows by id and time, as objects that are new whenever a row changes. */
export interface MemoryRowAccess {
  ids(): Iterable<string>
  /** Of one id, the oldest first. */
  generations(keyId: string): readonly { readonly created: number; readonly version: object }[]
  read(version: object): EnvelopeKeyRecord
  replace(keyId: string, version: object, record: EnvelopeKeyRecord): boolean
  remove(keyId: string, created: number): boolean
}

export class MemoryRows implements RowStore {
  readonly #rows: MemoryRowAccess

  constructor(rows: MemoryRowAccess) {
    this.#rows = rows
  }

  async page({ prefix = '', keyId, from, limit }: Parameters<RowStore['page']>[0]): Promise<RawPage> {
    const cursor = cursorOf(from)
    const wanted = keyId === undefined ? [...this.#rows.ids()].toSorted() : [keyId]
    const rows: RawRow[] = []
    for (const id of wanted) {
      if (!id.startsWith(prefix) || (cursor !== undefined && id < cursor[0])) continue
      for (const { created, version } of this.#rows.generations(id)) {
        if (cursor !== undefined && id === cursor[0] && created <= Number(cursor[1])) continue
        if (rows.length === limit) return { rows, next: JSON.stringify(placeOf(rows.at(-1))) }
        rows.push(this.#raw(id, created, version))
      }
    }
    return { rows }
  }

  async get(keyId: string, created: number): Promise<RawRow | undefined> {
    const found = this.#rows.generations(keyId).find((row) => row.created === created)
    return found === undefined ? undefined : this.#raw(keyId, created, found.version)
  }

  async replace(
    keyId: string,
    created: number,
    version: unknown,
    record: EnvelopeKeyRecord,
  ): Promise<boolean> {
    checkKeyRecord(keyId, created, record)
    return this.#rows.replace(keyId, version as object, record)
  }

  async remove(keyId: string, created: number): Promise<boolean> {
    return this.#rows.remove(keyId, created)
  }

  /** The metastore is its user's. */
  async close(): Promise<void> {}

  #raw(keyId: string, created: number, version: object): RawRow {
    return { keyId, created, shownTime: String(created), version, decode: () => this.#rows.read(version) }
  }
}

function placeOf(row: RawRow | undefined): readonly [string, string] {
  return [row?.keyId ?? '', row?.shownTime ?? '']
}
