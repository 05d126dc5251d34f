import { internals } from './internals.ts'
import { checkKeyRecord, isKeyId, rowMalformed } from './key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from './metastore.ts'

/**
 * A row kept small: at 100,000 partitions the store should not outweigh the rings. The wrapped key as a Latin-1 string
 * takes 80 bytes where a typed array takes about 270, and nobody can change it.
 */
interface Row {
  readonly created: number
  readonly encryptedKey: string
  readonly parentKeyId: string | undefined
  readonly parentCreated: number
  readonly revoked: boolean
  /** The next older row of the same id. */
  older: Row | undefined
}

/**
 * A metastore that forgets everything when the process ends: for tests, and for data that need not outlive the process.
 *
 * It answers at once, copies bytes in and out, and opens nothing, so it has no `close` and several factories may share one.
 * `created` is in Unix seconds.
 *
 * @throws AsherahError `ERR_METASTORE_ROW_MALFORMED` from `store` for a record that no reader would accept.
 *
 * @example
 * ```ts
 * const metastore = new MemoryMetastore()
 * metastore.store('_SK_api_catalog', 1795315800, { created: 1795315800, encryptedKey })
 * metastore.loadLatest('_SK_api_catalog')?.created // 1795315800
 * ```
 */
export class MemoryMetastore implements Metastore {
  /** The latest row of each id. */
  readonly #latest = new Map<string, Row>()
  #rows = 0

  /** How many rows are stored. */
  get size(): number {
    return this.#rows
  }

  load(keyId: string, created: number): EnvelopeKeyRecord | undefined {
    let row = this.#latest.get(keyId)
    while (row !== undefined && row.created > created) row = row.older
    return row?.created === created ? toRecord(row) : undefined
  }

  loadLatest(keyId: string): EnvelopeKeyRecord | undefined {
    const row = this.#latest.get(keyId)
    return row === undefined ? undefined : toRecord(row)
  }

  store(keyId: string, created: number, record: EnvelopeKeyRecord): boolean {
    checkKeyRecord(keyId, created, record)
    if (!isKeyId(keyId)) throw rowMalformed(keyId, created, 'has an id that is empty or not well-formed text')

    let newer: Row | undefined
    let older = this.#latest.get(keyId)
    while (older !== undefined && older.created > created) {
      newer = older
      older = older.older
    }
    if (older?.created === created) return false
    const row = toRow(record, older)
    if (newer === undefined) this.#latest.set(keyId, row)
    else newer.older = row
    this.#rows += 1
    return true
  }

  /** @internal For the admin interface: rows as they are, which are objects of their own whenever they change. */
  [internals]() {
    return {
      ids: () => this.#latest.keys(),
      generations: (keyId: string) =>
        this.#generations(keyId).map((row) => ({ created: row.created, version: row })),
      read: (version: object) => toRecord(version as Row),
      replace: (keyId: string, version: object, record: EnvelopeKeyRecord) =>
        this.#exchange(keyId, version, (older) => toRow(record, older)),
      remove: (keyId: string, created: number) => {
        const row = this.#generations(keyId).find((candidate) => candidate.created === created)
        return row !== undefined && this.#exchange(keyId, row, () => undefined)
      },
    }
  }

  /** The rows of an id, the oldest first. */
  #generations(keyId: string): readonly Row[] {
    const rows: Row[] = []
    for (let row = this.#latest.get(keyId); row !== undefined; row = row.older) rows.unshift(row)
    return rows
  }

  /** Puts another row, or none, in the place of one; false when that one is not there any more. */
  #exchange(keyId: string, from: object, to: (older: Row | undefined) => Row | undefined): boolean {
    const rows = this.#generations(keyId)
    const index = rows.indexOf(from as Row)
    const row = rows[index]
    if (row === undefined) return false
    const next = to(row.older)
    const newer = rows[index + 1]
    if (next === undefined) this.#rows -= 1
    const follower = next ?? row.older
    if (newer !== undefined) newer.older = follower
    else if (follower !== undefined) this.#latest.set(keyId, follower)
    else this.#latest.delete(keyId)
    return true
  }
}

function toRow(record: EnvelopeKeyRecord, older: Row | undefined): Row {
  const { encryptedKey: bytes, parentKeyMeta } = record
  return {
    created: record.created,
    encryptedKey: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'),
    parentKeyId: parentKeyMeta?.keyId,
    parentCreated: parentKeyMeta?.created ?? 0,
    revoked: record.revoked === true,
    older,
  }
}

function toRecord(row: Row): EnvelopeKeyRecord {
  return {
    created: row.created,
    // Not a view of Node's shared pool, which small Buffers are.
    encryptedKey: new Uint8Array(Buffer.from(row.encryptedKey, 'latin1')),
    ...(row.parentKeyId !== undefined && {
      parentKeyMeta: { keyId: row.parentKeyId, created: row.parentCreated },
    }),
    ...(row.revoked && { revoked: true }),
  }
}
