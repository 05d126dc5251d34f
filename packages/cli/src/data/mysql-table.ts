import type { RecordServer } from 'asherah/admin'
import { CommandError } from '../command-error.ts'
import {
  type KeyRange,
  keyTypeError,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  requireColumns,
  scanTimeoutMs,
  type TableNames,
  type TableRow,
  tableParts,
  tableRow,
} from './record-table.ts'

/** How keys of some type are read as text, and written. */
interface KeyColumn {
  readonly read: string
  readonly literal: (key: string) => string
}

/** A table in MySQL 8 or MariaDB 10.6, or newer: older ones cannot pass over rows that are locked. */
export class MysqlTable implements RecordTable {
  /** Each row is a statement of its own, and the rows are locked meanwhile. */
  readonly batch = 100
  readonly #server: RecordServer
  readonly #table: string
  readonly #key: string
  readonly #keyColumn: KeyColumn
  readonly #selected: string
  readonly #hasPartition: boolean

  private constructor(server: RecordServer, names: TableNames, keyColumn: KeyColumn) {
    const { table, columns, partitionColumn } = names
    this.#server = server
    this.#table = quotedTable(table, '`')
    this.#key = column(names.keyColumn)
    this.#keyColumn = keyColumn
    this.#hasPartition = partitionColumn !== undefined
    const partition = partitionColumn === undefined ? [] : [asBytes(column(partitionColumn))]
    this.#selected = [keyColumn.read, ...partition, ...columns.map((name) => asBytes(column(name)))].join()
  }

  static async open(server: RecordServer, names: TableNames): Promise<MysqlTable> {
    try {
      const { rows } = await server.query(columnsOfTable(names.table))
      const facts = rows.map(([name, type, identifies]) => ({
        name: String(name),
        type: String(type).toLowerCase(),
        identifies: String(identifies) === '1',
      }))
      const { type } = requireColumns(names, facts)
      return new MysqlTable(server, names, keyColumnOf(column(names.keyColumn), type))
    } catch (error) {
      await server.close()
      throw error
    }
  }

  page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    return this.#rows(`${this.#within(range)} ORDER BY ${this.#key} LIMIT ${limit}`)
  }

  async rows(keys: readonly string[]): Promise<readonly TableRow[]> {
    return keys.length === 0 ? [] : this.#rows(`WHERE ${this.#anyOf(keys)} ORDER BY ${this.#key}`)
  }

  async count(range: KeyRange): Promise<number> {
    const text = `SELECT CAST(COUNT(*) AS CHAR) FROM ${this.#table} t ${this.#within(range)}`
    return Number(String((await this.#server.query(text, [], scanTimeoutMs)).rows[0]?.[0]))
  }

  async keyAt(range: KeyRange, place: number): Promise<string | undefined> {
    const order = `ORDER BY ${this.#key} LIMIT 1 OFFSET ${place}`
    const text = `SELECT ${this.#keyColumn.read} FROM ${this.#table} t ${this.#within(range)} ${order}`
    const [row] = (await this.#server.query(text, [], scanTimeoutMs)).rows
    return row === undefined ? undefined : String(row[0])
  }

  async replace(name: string, replacements: readonly Replacement[]): Promise<number> {
    const byKey = new Map(replacements.map((replacement) => [replacement.key, replacement]))
    await this.#server.query('START TRANSACTION')
    try {
      const keys = await this.#server.query(
        `SELECT ${this.#keyColumn.read} FROM ${this.#table} t WHERE ${this.#anyOf([...byKey.keys()])} FOR UPDATE SKIP LOCKED`,
      )
      let changed = 0
      for (const [key] of keys.rows) {
        const replacement = byKey.get(String(key))
        if (replacement === undefined) continue
        const where = `${this.#key} = ${this.#keyColumn.literal(replacement.key)} AND ${asBytes(column(name))} = ${bytes(replacement.from)}`
        const text = `UPDATE ${this.#table} t SET ${column(name)} = ${literal(replacement.to)} WHERE ${where}`
        changed += (await this.#server.query(text)).affected
      }
      await this.#server.query('COMMIT')
      return changed
    } catch (error) {
      // The connection is closed with the command; where it still answers, the locks need not wait for that.
      await this.#server.query('ROLLBACK').catch(() => undefined)
      throw error
    }
  }

  close(): Promise<void> {
    return this.#server.close()
  }

  #anyOf(keys: readonly string[]): string {
    return `${this.#key} IN (${keys.map((key) => this.#keyColumn.literal(key)).join()})`
  }

  #within({ after, to }: KeyRange): string {
    const bounds = [
      ...(after === undefined ? [] : [`${this.#key} > ${this.#keyColumn.literal(after)}`]),
      ...(to === undefined ? [] : [`${this.#key} <= ${this.#keyColumn.literal(to)}`]),
    ]
    return bounds.length === 0 ? '' : `WHERE ${bounds.join(' AND ')}`
  }

  async #rows(rest: string): Promise<readonly TableRow[]> {
    const { rows } = await this.#server.query(`SELECT ${this.#selected} FROM ${this.#table} t ${rest}`)
    return rows.map((row) => tableRow(row, this.#hasPartition))
  }
}

function columnsOfTable(table: string): string {
  const [first = '', second] = tableParts(table)
  const schema = second === undefined ? 'DATABASE()' : literal(first)
  const sameIndex =
    's.table_schema = o.table_schema AND s.table_name = o.table_name AND s.index_name = o.index_name'
  const alone = `(SELECT COUNT(*) FROM information_schema.statistics o WHERE ${sameIndex}) = 1`
  return `SELECT c.column_name, c.data_type, CAST(c.is_nullable = 'NO' AND EXISTS (
    SELECT 1 FROM information_schema.statistics s WHERE s.table_schema = c.table_schema AND s.table_name = c.table_name
    AND s.column_name = c.column_name AND s.non_unique = 0 AND s.sub_part IS NULL AND ${alone}) AS CHAR)
    FROM information_schema.columns c WHERE c.table_schema = ${schema} AND c.table_name = ${literal(second ?? first)}`
}

function column(name: string): string {
  return `t.${quoted(name, '`')}`
}

/**
 * Numbers stand as digits: as text they would be compared as floating-point numbers. Of other types the order of rows and
 * the comparison with a text are not the same, as with ENUM, or the text is not exact, as with FLOAT.
 */
function keyColumnOf(key: string, type: string): KeyColumn {
  if (/^(?:(?:tiny|small|medium|big)?int|decimal)$/.test(type)) {
    return { read: `CAST(${key} AS CHAR)`, literal: number }
  }
  if (/^(?:var)?binary$/.test(type)) return { read: `HEX(${key})`, literal: (text) => `x'${hex(text)}'` }
  if (/char$|text$|^uuid$/.test(type)) return { read: asBytes(key), literal }
  throw keyTypeError(type, 'an integer, a DECIMAL, CHAR, VARCHAR, BINARY, VARBINARY or UUID')
}

function number(text: string): string {
  if (/^-?\d{1,65}(?:\.\d{1,38})?$/.test(text)) return text
  throw new CommandError('ERR_INPUT', `${JSON.stringify(text)} is no key of this table: its keys are numbers`)
}

function hex(text: string): string {
  if (/^(?:[0-9A-F]{2})*$/i.test(text)) return text
  throw new CommandError(
    'ERR_INPUT',
    `${JSON.stringify(text)} is no key of this table: its keys are hexadecimal`,
  )
}

function asBytes(expression: string): string {
  return `CAST(CONVERT(${expression} USING utf8mb4) AS BINARY)`
}

function literal(text: string): string {
  return `_utf8mb4 ${bytes(text)}`
}

function bytes(text: string): string {
  return `x'${Buffer.from(text, 'utf8').toString('hex')}'`
}
