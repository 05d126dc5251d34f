import { existsSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { AsherahError } from 'asherah'
import { CommandError } from '../command-error.ts'
import {
  type ColumnFacts,
  type KeyRange,
  keyTypeError,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  requireColumns,
  type TableNames,
  type TableRow,
  tableParts,
  tableRow,
} from './record-table.ts'

/** How long a statement waits for another process's lock. */
const busyTimeoutMs = 10_000
const possibleKeys = 'an integer or a text'

/** A table in an SQLite file. */
export class SqliteTable implements RecordTable {
  readonly batch = 500
  readonly #database: DatabaseSync
  readonly #table: string
  readonly #key: string
  readonly #selected: string
  readonly #hasPartition: boolean

  private constructor(database: DatabaseSync, names: TableNames) {
    const { table, keyColumn, columns, partitionColumn } = names
    this.#database = database
    this.#table = quotedTable(table, '"')
    this.#key = orderedKey(database, names)
    this.#hasPartition = partitionColumn !== undefined
    const others = [...(partitionColumn === undefined ? [] : [partitionColumn]), ...columns]
    const texts = [keyColumn, ...others].map((name) => `CAST(${quoted(name, '"')} AS TEXT)`)
    this.#selected = [`typeof(${quoted(keyColumn, '"')})`, ...texts].join()
  }

  static open(path: string, names: TableNames): SqliteTable {
    const sqlite = process.getBuiltinModule('node:sqlite') as typeof import('node:sqlite') | undefined
    if (sqlite === undefined) {
      throw new AsherahError('ERR_DRIVER_MISSING', 'This Node has no node:sqlite. Use Node 22.13 or newer.')
    }
    if (!existsSync(path)) throw new CommandError('ERR_ABSENT', `there is no SQLite file ${path}`)
    const database = new sqlite.DatabaseSync(path)
    try {
      database.exec(`PRAGMA busy_timeout = ${busyTimeoutMs}`)
      const { type } = requireColumns(names, factsOf(database, names))
      // Keys go through text, and only a column with a type makes of it what it was.
      if (type === '') throw keyTypeError('of any value', possibleKeys)
      return new SqliteTable(database, names)
    } catch (error) {
      database.close()
      throw error
    }
  }

  async page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    const { where, values } = this.#within(range)
    return this.#rows(`WHERE ${where} ORDER BY ${this.#key} LIMIT ${limit}`, values)
  }

  async rows(keys: readonly string[]): Promise<readonly TableRow[]> {
    const places = keys.map(() => '?').join()
    return this.#rows(`WHERE ${this.#key} IN (${places}) ORDER BY ${this.#key}`, keys)
  }

  async count(range: KeyRange): Promise<number> {
    const { where, values } = this.#within(range)
    const [row] = this.#all(`SELECT count(*) FROM ${this.#table} WHERE ${where}`, values)
    return Number(row?.[0])
  }

  async keyAt(range: KeyRange, place: number): Promise<string | undefined> {
    const { where, values } = this.#within(range)
    const order = `ORDER BY ${this.#key} LIMIT 1 OFFSET ${place}`
    const text = `SELECT ${this.#selected} FROM ${this.#table} WHERE ${where} ${order}`
    const [row] = this.#all(text, values).map(withTextKey)
    return row === undefined ? undefined : String(row[0])
  }

  async replace(column: string, replacements: readonly Replacement[]): Promise<number> {
    const name = quoted(column, '"')
    // What was text stays text, and bytes stay bytes.
    const statement = this.#database.prepare(
      `UPDATE ${this.#table} SET ${name} = CASE typeof(${name}) WHEN 'blob' THEN CAST(? AS BLOB) ELSE ? END
       WHERE ${this.#key} = ? AND CAST(${name} AS TEXT) = ? COLLATE BINARY`,
    )
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      let changed = 0
      for (const { key, from, to } of replacements)
        changed += Number(statement.run(to, to, key, from).changes)
      this.#database.exec('COMMIT')
      return changed
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  async close(): Promise<void> {
    this.#database.close()
  }

  #within({ after, to }: KeyRange): { readonly where: string; readonly values: readonly string[] } {
    const values = [after, to].flatMap((value) => value ?? [])
    const bounds = [
      ...(after === undefined ? [] : [`${this.#key} > ?`]),
      ...(to === undefined ? [] : [`${this.#key} <= ?`]),
    ]
    return { where: bounds.length === 0 ? 'TRUE' : bounds.join(' AND '), values }
  }

  #rows(rest: string, values: readonly string[]): readonly TableRow[] {
    const rows = this.#all(`SELECT ${this.#selected} FROM ${this.#table} ${rest}`, values)
    return rows.map((row) => tableRow(withTextKey(row), this.#hasPartition))
  }

  #all(text: string, values: readonly string[]): readonly (readonly unknown[])[] {
    const statement = this.#database.prepare(text)
    statement.setReturnArrays(true)
    return statement.all(...values) as unknown as readonly (readonly unknown[])[]
  }
}

/** SQLite lets any column hold any value, and only these come back from text as what they were. */
function withTextKey([type, ...row]: readonly unknown[]): readonly unknown[] {
  if (type === 'integer' || type === 'text') return row
  throw keyTypeError(String(type).toUpperCase(), possibleKeys)
}

/** The key in the order in which it is unique, which an index may have of its own: in another one, rows could be equal. */
function orderedKey(database: DatabaseSync, { table, keyColumn }: TableNames): string {
  const { schema, name } = placeOf(table)
  const collation = uniqueIndices(database, schema, name).find(
    ({ column }) => column === keyColumn,
  )?.collation
  const key = quoted(keyColumn, '"')
  return collation === undefined ? key : `${key} COLLATE ${quoted(collation, '"')}`
}

function placeOf(table: string): { readonly schema: string; readonly name: string } {
  const [first = '', second] = tableParts(table)
  return second === undefined ? { schema: 'main', name: first } : { schema: first, name: second }
}

type Ask = (text: string, ...values: readonly string[]) => readonly Readonly<Record<string, unknown>>[]

function asking(database: DatabaseSync): Ask {
  return (text, ...values) => database.prepare(text).all(...values)
}

/** Unique indices without a condition over one column each. */
function uniqueIndices(
  database: DatabaseSync,
  schema: string,
  table: string,
): readonly { readonly column: string; readonly collation: string }[] {
  const ask = asking(database)
  return ask(
    'SELECT name FROM pragma_index_list(?, ?) WHERE "unique" = 1 AND partial = 0',
    table,
    schema,
  ).flatMap((index) => {
    const members = ask(
      'SELECT name, coll FROM pragma_index_xinfo(?, ?) WHERE key = 1',
      String(index['name']),
      schema,
    )
    const [only] = members
    if (only === undefined || members.length > 1) return []
    return [{ column: String(only['name']), collation: String(only['coll']) }]
  })
}

function factsOf(database: DatabaseSync, { table, keyColumn }: TableNames): readonly ColumnFacts[] {
  const { schema, name } = placeOf(table)
  const ask = asking(database)
  const columns = ask('SELECT name, type, "notnull", pk FROM pragma_table_info(?, ?)', name, schema)
  const keys = columns.filter(({ pk }) => Number(pk) > 0)
  const unique = uniqueIndices(database, schema, name).map(({ column }) => column)
  return columns.map((column) => {
    const called = String(column['name'])
    const alone = unique.includes(called) || (keys.length === 1 && keys[0]?.['name'] === called)
    // SQLite lets NULL into primary keys.
    const nulls =
      called === keyColumn &&
      ask(`SELECT 1 FROM ${quotedTable(table, '"')} WHERE ${quoted(called, '"')} IS NULL LIMIT 1`).length > 0
    return { name: called, type: String(column['type']), identifies: alone && !nulls }
  })
}
