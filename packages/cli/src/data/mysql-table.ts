import type { RecordServer } from 'asherah/admin'
import { CommandError } from '../command-error.ts'
import {
  type KeyRange,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  scanTimeoutMs,
  type TableNames,
  type TableRow,
  tableParts,
  tableRow,
} from './record-table.ts'
import { keyText, paired, type RowKey } from './row-key.ts'
import { keyTypeError, requireColumns, type TableFacts } from './table-facts.ts'

/** A key column: as it is compared and put in order, how it is read as text, and how such a text is written. */
interface KeyColumn {
  readonly column: string
  readonly read: string
  readonly literal: (text: string) => string
}

/** A table in MySQL 8 or MariaDB 10.6, or newer: older ones cannot pass over rows that are locked. */
export class MysqlTable implements RecordTable {
  /** Each row is a statement of its own, and the rows are locked meanwhile. */
  readonly batch = 100
  readonly #server: RecordServer
  readonly #names: TableNames
  readonly #table: string
  readonly #keys: readonly KeyColumn[]
  readonly #order: string
  readonly #keyTexts: string
  readonly #selected: string

  private constructor(server: RecordServer, names: TableNames, keys: readonly KeyColumn[]) {
    const { table, columns, partitionColumn } = names
    this.#server = server
    this.#names = names
    this.#table = quotedTable(table, '`')
    this.#keys = keys
    this.#order = keys.map(({ column }) => column).join()
    this.#keyTexts = keys.map(({ read }) => read).join()
    const others = [...(partitionColumn === undefined ? [] : [partitionColumn]), ...columns]
    this.#selected = [this.#keyTexts, ...others.map((name) => asBytes(columnOf(name)))].join()
  }

  static async open(server: RecordServer, names: TableNames): Promise<MysqlTable> {
    try {
      const { keys } = requireColumns(names, await factsOf(server, names.table))
      return new MysqlTable(
        server,
        names,
        keys.map(({ name, type }) => keyColumnOf(names, name, type)),
      )
    } catch (error) {
      await server.close()
      throw error
    }
  }

  page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    return this.#rows(`${this.#within(range)} ORDER BY ${this.#order} LIMIT ${limit}`)
  }

  async rows(keys: readonly RowKey[]): Promise<readonly TableRow[]> {
    return keys.length === 0 ? [] : this.#rows(`WHERE ${this.#anyOf(keys)} ORDER BY ${this.#order}`)
  }

  async count(range: KeyRange): Promise<number> {
    const text = `SELECT CAST(COUNT(*) AS CHAR) FROM ${this.#table} t ${this.#within(range)}`
    return Number(String((await this.#server.query(text, [], scanTimeoutMs)).rows[0]?.[0]))
  }

  async keyAt(range: KeyRange, place: number): Promise<RowKey | undefined> {
    const order = `ORDER BY ${this.#order} LIMIT 1 OFFSET ${place}`
    const text = `SELECT ${this.#keyTexts} FROM ${this.#table} t ${this.#within(range)} ${order}`
    const [row] = (await this.#server.query(text, [], scanTimeoutMs)).rows
    return row?.map(String)
  }

  async replace(name: string, replacements: readonly Replacement[]): Promise<number> {
    const byKey = new Map(replacements.map((replacement) => [keyText(replacement.key), replacement]))
    const wanted = this.#anyOf(replacements.map(({ key }) => key))
    await this.#server.query('START TRANSACTION')
    try {
      const keys = await this.#server.query(
        `SELECT ${this.#keyTexts} FROM ${this.#table} t WHERE ${wanted} FOR UPDATE SKIP LOCKED`,
      )
      let changed = 0
      for (const row of keys.rows) {
        const replacement = byKey.get(keyText(row.map(String)))
        if (replacement === undefined) continue
        const where = `${this.#is(replacement.key)} AND ${asBytes(columnOf(name))} = ${bytes(replacement.from)}`
        const text = `UPDATE ${this.#table} t SET ${columnOf(name)} = ${literal(replacement.to)} WHERE ${where}`
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

  #is(key: RowKey): string {
    return paired(this.#keys, key)
      .map(([{ column, literal }, text]) => `${column} = ${literal(text)}`)
      .join(' AND ')
  }

  #anyOf(keys: readonly RowKey[]): string {
    return `(${keys.map((key) => this.#is(key)).join(' OR ')})`
  }

  #within({ after, to }: KeyRange): string {
    const bounds = [
      ...(after === undefined ? [] : [this.#bound(after, '>', '>')]),
      ...(to === undefined ? [] : [this.#bound(to, '<', '<=')]),
    ]
    return bounds.length === 0 ? '' : `WHERE ${bounds.join(' AND ')}`
  }

  /** `(a, b) > (x, y)` column by column: as one comparison, MariaDB 10.11 reads the index from its start for it. */
  #bound(key: RowKey, operator: '>' | '<', last: '>' | '<='): string {
    return paired(this.#keys, key).reduceRight((rest, [{ column, literal }, text]) => {
      const value = literal(text)
      if (rest === '') return `${column} ${last} ${value}`
      return `(${column} ${operator} ${value} OR (${column} = ${value} AND ${rest}))`
    }, '')
  }

  async #rows(rest: string): Promise<readonly TableRow[]> {
    const { rows } = await this.#server.query(`SELECT ${this.#selected} FROM ${this.#table} t ${rest}`)
    return rows.map((row) => tableRow(row, this.#names))
  }
}

async function factsOf(server: RecordServer, table: string): Promise<TableFacts> {
  const [first = '', second] = tableParts(table)
  const schema = second === undefined ? 'DATABASE()' : literal(first)
  const ofTable = `table_schema = ${schema} AND table_name = ${literal(second ?? first)}`
  const columns = await server.query(
    `SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE ${ofTable}`,
  )
  // Of an index over a part of a column, or over an expression, not all members are whole columns.
  const members = await server.query(
    `SELECT index_name, IF(sub_part IS NULL, column_name, NULL) FROM information_schema.statistics
     WHERE ${ofTable} AND non_unique = 0 ORDER BY index_name, seq_in_index`,
  )
  const indices = new Map<string, readonly unknown[]>()
  for (const [index, column] of members.rows) {
    indices.set(String(index), [...(indices.get(String(index)) ?? []), column])
  }
  return {
    columns: columns.rows.map(([name, type, nullable]) => ({
      name: String(name),
      type: String(type).toLowerCase(),
      nullable: String(nullable) !== 'NO',
    })),
    unique: [...indices.values()].filter((index) => !index.includes(null)).map((index) => index.map(String)),
  }
}

function columnOf(name: string): string {
  return `t.${quoted(name, '`')}`
}

/**
 * Numbers stand as digits: as text they would be compared as floating-point numbers. Of other types the order of rows and
 * the comparison with a text are not the same, as with ENUM, or the text is not exact, as with FLOAT.
 */
function keyColumnOf(names: TableNames, name: string, type: string): KeyColumn {
  const column = columnOf(name)
  if (/^(?:(?:tiny|small|medium|big)?int|decimal)$/.test(type)) {
    return { column, read: `CAST(${column} AS CHAR)`, literal: number }
  }
  if (/^(?:var)?binary$/.test(type)) {
    return { column, read: `HEX(${column})`, literal: (text) => `x'${hex(text)}'` }
  }
  if (/char$|text$|^uuid$/.test(type)) return { column, read: asBytes(column), literal }
  throw keyTypeError(names, name, type, 'an integer, a DECIMAL, CHAR, VARCHAR, BINARY, VARBINARY or UUID')
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
