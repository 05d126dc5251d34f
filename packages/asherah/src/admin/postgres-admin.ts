import { encodeKeyRecord } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { SqlConnection } from '../metastore/sql/sql-connection.ts'
import { firstSecondOfYear1, toUtcText } from '../metastore/sql/utc-time.ts'
import type { RawPage, RawRow, RowStore } from './key-row.ts'
import { asOperator, cursorOf, type RunOnConnection, rawRow, type SqlRow, sqlPage } from './sql-admin.ts'

// The order is that of the primary key, whatever collation the column has, so each part is read where the one before ended
// and no id is left out; a row's time is compared in the server's own text of it, which is exact for every type.
const columns = 'id, created::text, extract(epoch FROM created)::text, key_record::text'
const order = 'ORDER BY id, created LIMIT'
const after = '(id, created) >'
const label = 'Postgres metastore'

export class PostgresRows implements RowStore {
  readonly #run: RunOnConnection
  readonly #end: () => Promise<void>

  constructor(run: RunOnConnection, end: () => Promise<void>) {
    this.#run = run
    this.#end = end
  }

  async page({ prefix, keyId, from, limit }: Parameters<RowStore['page']>[0]): Promise<RawPage> {
    const values: string[] = []
    const parameter = (value: string): string => `$${values.push(value)}`
    const cursor = cursorOf(from)
    const conditions = [
      ...(keyId === undefined ? [] : [`id = ${parameter(keyId)}`]),
      ...(prefix === undefined ? [] : [`starts_with(id, ${parameter(prefix)})`]),
      ...(cursor === undefined ? [] : [`${after} (${parameter(cursor[0])}, ${parameter(cursor[1])})`]),
    ]
    const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`
    const text = `SELECT ${columns} FROM encryption_key ${where} ${order} ${limit}`
    return sqlPage((await this.#rows(text, values)).map(rawRow), limit)
  }

  async get(keyId: string, created: number): Promise<RawRow | undefined> {
    const time = toTime(created)
    if (time === undefined) return undefined
    const text = `SELECT ${columns} FROM encryption_key WHERE id = $1 AND created = $2`
    const [row] = (await this.#rows(text, [keyId, time])).filter(([id]) => id === keyId)
    return row === undefined ? undefined : rawRow(row)
  }

  async replace(
    keyId: string,
    created: number,
    version: unknown,
    record: EnvelopeKeyRecord,
  ): Promise<boolean> {
    const time = toTime(created)
    const text = encodeKeyRecord(keyId, created, record)
    if (time === undefined || typeof version !== 'string') return false
    return this.#changes(
      'UPDATE',
      'UPDATE encryption_key SET key_record = $3 WHERE id = $1 AND created = $2 AND key_record::text = $4',
      [keyId, time, text, version],
    )
  }

  async remove(keyId: string, created: number): Promise<boolean> {
    const time = toTime(created)
    if (time === undefined) return false
    // The collation of the column may take other ids for this one.
    const text = `DELETE FROM encryption_key WHERE id = $1 AND created = $2 AND id COLLATE "C" = $1`
    return this.#changes('DELETE', text, [keyId, time])
  }

  close(): Promise<void> {
    return this.#end()
  }

  async #rows(text: string, values: readonly string[]): Promise<SqlRow[]> {
    const work = async (connection: SqlConnection) => (await connection.query(text, values)).rows
    const rows = await asOperator(this.#run, label, 'SELECT', work)
    return rows.map(([id, time, epoch, record]) => [
      String(id),
      String(time),
      wholeSeconds(String(epoch)),
      typeof record === 'string' ? record : undefined,
    ])
  }

  async #changes(right: 'UPDATE' | 'DELETE', text: string, values: readonly string[]): Promise<boolean> {
    const work = async (connection: SqlConnection) => (await connection.query(text, values)).affected
    return (await asOperator(this.#run, label, right, work)) === 1
  }
}

function wholeSeconds(epoch: string): number | undefined {
  const [, seconds] = /^(-?\d+)(?:\.0+)?$/.exec(epoch) ?? []
  return seconds === undefined ? undefined : Number(seconds)
}

function toTime(created: number): string | undefined {
  const text = toUtcText(created, firstSecondOfYear1)
  return text === undefined ? undefined : `${text}+00`
}
