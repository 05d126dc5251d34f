import { encodeKeyRecord } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import { literal } from '../metastore/mysql/mysql-statements.ts'
import type { SqlConnection } from '../metastore/sql/sql-connection.ts'
import { firstSecondOfYear1000, fromUtcText, toUtcText } from '../metastore/sql/utc-time.ts'
import type { RawPage, RawRow, RowStore } from './key-row.ts'
import { asOperator, cursorOf, type RunOnConnection, rawRow, type SqlRow, sqlPage } from './sql-admin.ts'

// The order is that of the primary key, whatever collation the column has: see the one of Postgres. Ids and records are
// compared as bytes of UTF-8, since a collation may take other texts for the same.
const id = 'CAST(CONVERT(id USING utf8mb4) AS BINARY)'
const record = 'CAST(CONVERT(key_record USING utf8mb4) AS BINARY)'
const columns = `${id}, CAST(created AS CHAR), ${record}`
const label = 'MySQL metastore'

export class MysqlRows implements RowStore {
  readonly #run: RunOnConnection
  readonly #end: () => Promise<void>

  constructor(run: RunOnConnection, end: () => Promise<void>) {
    this.#run = run
    this.#end = end
  }

  async page({ prefix, keyId, from, limit }: Parameters<RowStore['page']>[0]): Promise<RawPage> {
    const cursor = cursorOf(from)
    const conditions = [
      ...(keyId === undefined ? [] : [`id = ${literal(keyId)}`, `${id} = ${bytes(keyId)}`]),
      ...(prefix === undefined ? [] : [`LEFT(${id}, ${Buffer.byteLength(prefix)}) = ${bytes(prefix)}`]),
      ...(cursor === undefined ? [] : [after(...cursor)]),
    ]
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    const text = `SELECT ${columns} FROM encryption_key ${where} ORDER BY encryption_key.id, encryption_key.created LIMIT ${limit}`
    return sqlPage((await this.#rows(text)).map(rawRow), limit)
  }

  async get(keyId: string, created: number): Promise<RawRow | undefined> {
    const row = rowOf(keyId, created)
    if (row === undefined) return undefined
    const [found] = await this.#rows(`SELECT ${columns} FROM encryption_key WHERE ${row}`)
    return found === undefined ? undefined : rawRow(found)
  }

  async replace(keyId: string, created: number, version: unknown, to: EnvelopeKeyRecord): Promise<boolean> {
    const row = rowOf(keyId, created)
    const text = encodeKeyRecord(keyId, created, to)
    if (row === undefined || typeof version !== 'string') return false
    // A TIMESTAMP may be set to "now" by any update unless it is named (explicit_defaults_for_timestamp off).
    const statement = `UPDATE encryption_key SET key_record = ${literal(text)}, created = created WHERE ${row} AND ${record} = ${bytes(version)}`
    return this.#changes('UPDATE', statement)
  }

  async remove(keyId: string, created: number): Promise<boolean> {
    const row = rowOf(keyId, created)
    return row !== undefined && (await this.#changes('DELETE', `DELETE FROM encryption_key WHERE ${row}`))
  }

  close(): Promise<void> {
    return this.#end()
  }

  async #rows(text: string): Promise<SqlRow[]> {
    const work = async (connection: SqlConnection) => (await connection.query(text)).rows
    const rows = await asOperator(this.#run, label, 'SELECT', work)
    return rows.map(([found, time, value]) => [
      String(found),
      String(time),
      fromUtcText(String(time)),
      value === null || value === undefined ? undefined : String(value),
    ])
  }

  async #changes(right: 'UPDATE' | 'DELETE', text: string): Promise<boolean> {
    const work = async (connection: SqlConnection) => (await connection.query(text)).affected
    return (await asOperator(this.#run, label, right, work)) === 1
  }
}

function rowOf(keyId: string, created: number): string | undefined {
  const time = toUtcText(created, firstSecondOfYear1000)
  if (time === undefined) return undefined
  return `encryption_key.id = ${literal(keyId)} AND ${id} = ${bytes(keyId)} AND encryption_key.created = '${time}'`
}

function after(keyId: string, time: string): string {
  const column = 'encryption_key.id'
  const text = literal(keyId)
  if (!/^[\d :.-]+$/.test(time)) throw new TypeError('the place where a list goes on is none of this store')
  return `(${column} > ${text} OR (${column} = ${text} AND encryption_key.created > '${time}'))`
}

function bytes(text: string): string {
  return `x'${Buffer.from(text, 'utf8').toString('hex')}'`
}
