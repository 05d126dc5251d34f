import type { MaybePromise } from '../maybe-promise.ts'
import { decodeKeyRecord, encodeKeyRecord, rowMalformed } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import { firstSecondOfYear1, fromUtcText, toUtcText } from '../metastore/sql/utc-time.ts'
import type { SqliteDatabase } from '../metastore/sqlite.ts'
import type { RawPage, RawRow, RowStore } from './key-row.ts'
import { cursorOf, sqlPage } from './sql-admin.ts'

export type RunOnDatabase = <T>(action: string, work: (database: SqliteDatabase) => T) => MaybePromise<T>

const columns = 'id, created, key_record'

export class SqliteRows implements RowStore {
  readonly #run: RunOnDatabase
  readonly #end: () => MaybePromise<void>

  constructor(run: RunOnDatabase, end: () => MaybePromise<void>) {
    this.#run = run
    this.#end = end
  }

  async page({ prefix, keyId, from, limit }: Parameters<RowStore['page']>[0]): Promise<RawPage> {
    const cursor = cursorOf(from)
    const values = [
      ...(keyId === undefined ? [] : [keyId]),
      ...(prefix === undefined ? [] : [prefix]),
      ...(cursor ?? []),
    ]
    const conditions = [
      ...(keyId === undefined ? [] : ['id = ?']),
      ...(prefix === undefined ? [] : ['instr(id, ?) = 1']),
      ...(cursor === undefined ? [] : ['(id, created) > (?, ?)']),
    ]
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    const text = `SELECT ${columns} FROM encryption_key ${where} ORDER BY id, created LIMIT ${limit}`
    const rows = await this.#run('read', (database) => all(database, text, values))
    return sqlPage(rows.map(rawRow), limit)
  }

  async get(keyId: string, created: number): Promise<RawRow | undefined> {
    const time = toUtcText(created, firstSecondOfYear1)
    if (time === undefined) return undefined
    const text = `SELECT ${columns} FROM encryption_key WHERE id = ? AND created = ?`
    const [row] = await this.#run('read', (database) => all(database, text, [keyId, time]))
    return row === undefined ? undefined : rawRow(row)
  }

  async replace(
    keyId: string,
    created: number,
    version: unknown,
    record: EnvelopeKeyRecord,
  ): Promise<boolean> {
    const time = toUtcText(created, firstSecondOfYear1)
    const text = encodeKeyRecord(keyId, created, record)
    if (time === undefined || typeof version !== 'string') return false
    return this.#changes(
      'UPDATE encryption_key SET key_record = ? WHERE id = ? AND created = ? AND key_record = ?',
      [text, keyId, time, version],
    )
  }

  async remove(keyId: string, created: number): Promise<boolean> {
    const time = toUtcText(created, firstSecondOfYear1)
    if (time === undefined) return false
    return this.#changes('DELETE FROM encryption_key WHERE id = ? AND created = ?', [keyId, time])
  }

  async close(): Promise<void> {
    await this.#end()
  }

  async #changes(text: string, values: readonly string[]): Promise<boolean> {
    return this.#run('written', (database) => Number(database.prepare(text).run(...values).changes) === 1)
  }
}

/** The rows of a statement. Both libraries have `all`; only `get` is in what a metastore asks of a database. */
function all(database: SqliteDatabase, text: string, values: readonly string[]): readonly object[] {
  const statement = database.prepare(text) as {
    all?: (...parameters: readonly string[]) => readonly object[]
  }
  if (statement.all === undefined) throw new TypeError('the SQLite database has no statements with all()')
  return statement.all(...values)
}

function rawRow(row: object): RawRow {
  const [id, time, text] = Object.values(row) as readonly unknown[]
  const keyId = String(id)
  const shownTime = String(time)
  return {
    keyId,
    created: typeof time === 'string' ? fromUtcText(time) : undefined,
    shownTime,
    version: text,
    decode: (created) => {
      if (typeof text !== 'string') throw rowMalformed(keyId, created, 'is not text')
      return decodeKeyRecord(keyId, created, text)
    },
  }
}
