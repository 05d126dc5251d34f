import type { RecordServer } from 'asherah/admin'
import {
  type KeyRange,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  requireColumn,
  scanTimeoutMs,
  type TableNames,
  type TableRow,
  tableRow,
} from './record-table.ts'

// Name, type without its length, to which a cast would cut a value without a word, and whether the column tells rows apart: a unique index without a condition, over it alone.
const columnsOfTable = `SELECT a.attname, format_type(a.atttypid, -1), (a.attnotnull AND EXISTS (
  SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum))::text
  FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

/** How a column of some type is read, compared with a text, and written. */
interface RecordColumn {
  readonly read: string
  /** What was read, as text. */
  readonly decoded: (value: string) => string
  readonly equals: (text: string) => string
  readonly written: (text: string) => string
}

/** A table in PostgreSQL. */
export class PostgresTable implements RecordTable {
  readonly batch = 500
  readonly #server: RecordServer
  readonly #table: string
  readonly #key: string
  readonly #keyType: string
  readonly #selected: string
  readonly #columns: ReadonlyMap<string, RecordColumn>
  readonly #hasPartition: boolean

  private constructor(
    server: RecordServer,
    names: TableNames,
    keyType: string,
    columns: ReadonlyMap<string, RecordColumn>,
  ) {
    const { table, keyColumn, partitionColumn } = names
    this.#server = server
    this.#table = quotedTable(table, '"')
    this.#key = `t.${quoted(keyColumn, '"')}`
    this.#keyType = keyType
    this.#columns = columns
    this.#hasPartition = partitionColumn !== undefined
    const partition = partitionColumn === undefined ? [] : [`t.${quoted(partitionColumn, '"')}::text`]
    this.#selected = [
      `${this.#key}::text`,
      ...partition,
      ...[...columns.values()].map(({ read }) => read),
    ].join()
  }

  static async open(server: RecordServer, names: TableNames): Promise<PostgresTable> {
    try {
      const { rows } = await server.query(columnsOfTable, [quotedTable(names.table, '"')])
      const facts = rows.map(([name, type, identifies]) => ({
        name: String(name),
        type: String(type),
        identifies: identifies === 'true',
      }))
      const key = requireColumn(names, facts, names.keyColumn)
      if (names.partitionColumn !== undefined) requireColumn(names, facts, names.partitionColumn)
      const columns = names.columns.map((name) => {
        const { type } = requireColumn(names, facts, name)
        return [name, recordColumn(name, type)] as const
      })
      return new PostgresTable(server, names, key.type, new Map(columns))
    } catch (error) {
      await server.close()
      throw error
    }
  }

  page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    const { where, values } = this.#within(range)
    return this.#rows(`${where} ORDER BY ${this.#key} LIMIT ${limit}`, values)
  }

  rows(keys: readonly string[]): Promise<readonly TableRow[]> {
    const wanted = `${this.#key} = ANY ($1::text[]::${this.#keyType}[])`
    return this.#rows(`WHERE ${wanted} ORDER BY ${this.#key}`, [keys])
  }

  async count(range: KeyRange): Promise<number> {
    const { where, values } = this.#within(range)
    const text = `SELECT count(*)::text FROM ${this.#table} t ${where}`
    return Number((await this.#server.query(text, values, scanTimeoutMs)).rows[0]?.[0])
  }

  async keyAt(range: KeyRange, place: number): Promise<string | undefined> {
    const { where, values } = this.#within(range)
    const order = `ORDER BY ${this.#key} OFFSET ${place} LIMIT 1`
    const text = `SELECT ${this.#key}::text FROM ${this.#table} t ${where} ${order}`
    const [row] = (await this.#server.query(text, values, scanTimeoutMs)).rows
    return row === undefined ? undefined : String(row[0])
  }

  async replace(column: string, replacements: readonly Replacement[]): Promise<number> {
    const { equals, written } = this.#column(column)
    // The locks are of the rows as they are now, and the comparison too: what changed since the statement began is
    // looked at again by the server.
    const text = `WITH wanted AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS w (key, old, new)),
      held AS MATERIALIZED (SELECT ${this.#key} AS key, wanted.old, wanted.new FROM ${this.#table} t
        JOIN wanted ON ${this.#key} = wanted.key::${this.#keyType} FOR UPDATE OF t SKIP LOCKED)
      UPDATE ${this.#table} t SET ${quoted(column, '"')} = ${written('held.new')} FROM held
      WHERE ${this.#key} = held.key AND ${equals('held.old')}`
    const values = [
      replacements.map(({ key }) => key),
      replacements.map(({ from }) => from),
      replacements.map(({ to }) => to),
    ]
    return (await this.#server.query(text, values)).affected
  }

  close(): Promise<void> {
    return this.#server.close()
  }

  #column(name: string): RecordColumn {
    const column = this.#columns.get(name)
    if (column === undefined) throw new TypeError('a column was to be changed that was not named')
    return column
  }

  #within({ after, to }: KeyRange): { readonly where: string; readonly values: readonly string[] } {
    const values: string[] = []
    const bounds = [
      ...(after === undefined ? [] : [`${this.#key} > $${values.push(after)}`]),
      ...(to === undefined ? [] : [`${this.#key} <= $${values.push(to)}`]),
    ]
    return { where: bounds.length === 0 ? '' : `WHERE ${bounds.join(' AND ')}`, values }
  }

  async #rows(rest: string, values: readonly (string | readonly string[])[]): Promise<readonly TableRow[]> {
    const { rows } = await this.#server.query(
      `SELECT ${this.#selected} FROM ${this.#table} t ${rest}`,
      values,
    )
    const columns = [...this.#columns.values()]
    return rows.map((row) => {
      const { cells, ...rest } = tableRow(row, this.#hasPartition)
      return {
        ...rest,
        cells: cells.map((cell, index) => (cell === undefined ? cell : columns[index]?.decoded(cell))),
      }
    })
  }
}

function recordColumn(name: string, type: string): RecordColumn {
  const column = `t.${quoted(name, '"')}`
  if (type === 'bytea') {
    const written = (text: string): string => `convert_to(${text}, 'UTF8')`
    return {
      // The server would refuse to read bytes that are no text.
      read: `encode(${column}, 'base64')`,
      decoded: (value) => Buffer.from(value, 'base64').toString('utf8'),
      equals: (text) => `${column} = ${written(text)}`,
      written,
    }
  }
  return {
    read: `${column}::text`,
    decoded: (value) => value,
    // Byte by byte, whatever collation the column has.
    equals: (text) => `${column}::text COLLATE "C" = ${text}`,
    written: (text) => `${text}::${type}`,
  }
}
