import { existsSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { AsherahError } from 'asherah'
import { CommandError } from '../command-error.ts'
import {
  type KeyRange,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  type TableNames,
  type TableRow,
  tableRow,
} from './record-table.ts'
import { paired, type RowKey } from './row-key.ts'
import { collationsOf, factsOf } from './sqlite-facts.ts'
import { keyTypeError, requireColumns } from './table-facts.ts'

/** How long a statement waits for another process's lock. */
const busyTimeoutMs = 10_000
const possibleKeys = 'an integer or a text'

/** A key column, and the collation of the index in which it is unique, as it follows an expression. */
interface KeyColumn {
  readonly column: string
  readonly collate: string
}

/** A table in an SQLite file. */
export class SqliteTable implements RecordTable {
  readonly batch = 500
  readonly #database: DatabaseSync
  readonly #names: TableNames
  readonly #table: string
  readonly #keys: readonly KeyColumn[]
  readonly #order: string
  readonly #selected: string

  private constructor(database: DatabaseSync, names: TableNames) {
    const { table, keyColumns, columns, partitionColumn } = names
    this.#database = database
    this.#names = names
    this.#table = quotedTable(table, '"')
    const collations = collationsOf(database, names)
    // In another order than its index's, rows could be equal.
    this.#keys = keyColumns.map((name, place) => {
      const collation = collations?.[place]
      const collate = collation === undefined ? '' : ` COLLATE ${quoted(collation, '"')}`
      return { column: quoted(name, '"'), collate }
    })
    this.#order = this.#keys.map(({ column, collate }) => column + collate).join()
    const others = [...(partitionColumn === undefined ? [] : [partitionColumn]), ...columns]
    const texts = [...keyColumns, ...others].map((name) => `CAST(${quoted(name, '"')} AS TEXT)`)
    // A column of bytes keeps a number, which is then none of the rows that are found by its text.
    const types = this.#keys.map(
      ({ column }) => `CASE WHEN ${column} = +CAST(${column} AS TEXT) THEN typeof(${column}) ELSE 'blob' END`,
    )
    this.#selected = [...types, ...texts].join()
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
      const { keys } = requireColumns(names, factsOf(database, names))
      // Keys go through text, and only a column with a type makes of it what it was.
      const untyped = keys.find(({ type }) => type === '')
      if (untyped !== undefined) throw keyTypeError(names, untyped.name, 'of any value', possibleKeys)
      return new SqliteTable(database, names)
    } catch (error) {
      database.close()
      throw error
    }
  }

  async page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    const { where, values } = this.#within(range)
    return this.#rows(`WHERE ${where} ORDER BY ${this.#order} LIMIT ${limit}`, values)
  }

  async rows(keys: readonly RowKey[]): Promise<readonly TableRow[]> {
    return keys.flatMap((key) => this.#rows(`WHERE ${this.#isKey}`, key))
  }

  async count(range: KeyRange): Promise<number> {
    const { where, values } = this.#within(range)
    const [row] = this.#all(`SELECT count(*) FROM ${this.#table} WHERE ${where}`, values)
    return Number(row?.[0])
  }

  async keyAt(range: KeyRange, place: number): Promise<RowKey | undefined> {
    const { where, values } = this.#within(range)
    const [row] = this.#rows(`WHERE ${where} ORDER BY ${this.#order} LIMIT 1 OFFSET ${place}`, values)
    return row?.key
  }

  async replace(column: string, replacements: readonly Replacement[]): Promise<number> {
    const name = quoted(column, '"')
    // What was text stays text, and bytes stay bytes.
    const statement = this.#database.prepare(
      `UPDATE ${this.#table} SET ${name} = CASE typeof(${name}) WHEN 'blob' THEN CAST(? AS BLOB) ELSE ? END
       WHERE ${this.#isKey} AND CAST(${name} AS TEXT) = ? COLLATE BINARY`,
    )
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      let changed = 0
      for (const { key, from, to } of replacements)
        changed += Number(statement.run(to, to, ...key, from).changes)
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

  /** The collation stands at the values: at the columns of several, SQLite 3.53 reads the index from its start. */
  get #isKey(): string {
    return this.#keys.map(({ column, collate }) => `${column} = ?${collate}`).join(' AND ')
  }

  #within({ after, to }: KeyRange): { readonly where: string; readonly values: readonly string[] } {
    const columns = this.#keys.map(({ column }) => column).join()
    const places = this.#keys.map(({ collate }) => `?${collate}`).join()
    const bounds = [
      ...(after === undefined ? [] : [`(${columns}) > (${places})`]),
      ...(to === undefined ? [] : [`(${columns}) <= (${places})`]),
    ]
    return {
      where: bounds.length === 0 ? 'TRUE' : bounds.join(' AND '),
      values: [after, to].flatMap((key) => key ?? []),
    }
  }

  #rows(rest: string, values: readonly string[]): readonly TableRow[] {
    const rows = this.#all(`SELECT ${this.#selected} FROM ${this.#table} ${rest}`, values)
    return rows.map((row) => {
      const { keyColumns } = this.#names
      for (const [name, type] of paired(keyColumns, row.slice(0, keyColumns.length).map(String))) {
        // Any column can hold any value, and only these come back from text as what they were.
        if (type === 'integer' || type === 'text') continue
        throw keyTypeError(this.#names, name, type.toUpperCase(), possibleKeys)
      }
      return tableRow(row.slice(keyColumns.length), this.#names)
    })
  }

  #all(text: string, values: readonly string[]): readonly (readonly unknown[])[] {
    const statement = this.#database.prepare(text)
    statement.setReturnArrays(true)
    return statement.all(...values) as unknown as readonly (readonly unknown[])[]
  }
}
