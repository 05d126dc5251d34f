import type { RecordServer } from 'asherah/admin'
import {
  type KeyRange,
  quoted,
  quotedTable,
  type RecordTable,
  type Replacement,
  scanTimeoutMs,
  type TableNames,
  type TableRow,
  tableRow,
} from './record-table.ts'
import { paired, type RowKey } from './row-key.ts'
import { requireColumns, type TableFacts } from './table-facts.ts'

// Name, type without its length, to which a cast would cut a value without a word, and whether it may be NULL.
const columnsOfTable = `SELECT a.attname, format_type(a.atttypid, -1), (NOT a.attnotnull)::text
  FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

// Those without a condition, over columns alone.
const uniqueIndices = `SELECT json_agg(a.attname ORDER BY k.place)::text FROM pg_index i
  CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
  WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND k.place <= i.indnkeyatts GROUP BY i.indexrelid`

/** How a column of some type is read, compared with a text, and written. */
interface RecordColumn {
  readonly read: string
  /** What was read, as text. */
  readonly decoded: (value: string) => string
  readonly equals: (text: string) => string
  readonly written: (text: string) => string
}

/** A key column: as it is compared and put in order, and its type, which texts are cast to. */
interface KeyColumn {
  readonly column: string
  readonly type: string
}

/** A table in PostgreSQL. */
export class PostgresTable implements RecordTable {
  readonly batch = 500
  readonly #server: RecordServer
  readonly #names: TableNames
  readonly #table: string
  readonly #keys: readonly KeyColumn[]
  readonly #order: string
  readonly #keyTexts: string
  readonly #selected: string
  readonly #columns: ReadonlyMap<string, RecordColumn>

  private constructor(
    server: RecordServer,
    names: TableNames,
    keys: readonly KeyColumn[],
    columns: ReadonlyMap<string, RecordColumn>,
  ) {
    const { table, partitionColumn } = names
    this.#server = server
    this.#names = names
    this.#table = quotedTable(table, '"')
    this.#keys = keys
    this.#order = keys.map(({ column }) => column).join()
    this.#keyTexts = keys.map(({ column }) => `${column}::text`).join()
    this.#columns = columns
    const partition = partitionColumn === undefined ? [] : [`${columnOf(partitionColumn)}::text`]
    this.#selected = [this.#keyTexts, ...partition, ...[...columns.values()].map(({ read }) => read)].join()
  }

  static async open(server: RecordServer, names: TableNames): Promise<PostgresTable> {
    try {
      const { keys, records } = requireColumns(names, await factsOf(server, names.table))
      return new PostgresTable(
        server,
        names,
        keys.map(({ name, type }) => ({ column: columnOf(name), type })),
        new Map(records.map(({ name, type }) => [name, recordColumn(name, type)])),
      )
    } catch (error) {
      await server.close()
      throw error
    }
  }

  page(range: KeyRange, limit: number): Promise<readonly TableRow[]> {
    const { where, values } = this.#within(range)
    return this.#rows(`${where} ORDER BY ${this.#order} LIMIT ${limit}`, values)
  }

  rows(keys: readonly RowKey[]): Promise<readonly TableRow[]> {
    const { texts, names, condition } = this.#wanted
    const wanted = `JOIN unnest(${texts}) AS wanted (${names}) ON ${condition}`
    return this.#rows(`${wanted} ORDER BY ${this.#order}`, this.#byColumn(keys))
  }

  async count(range: KeyRange): Promise<number> {
    const { where, values } = this.#within(range)
    const text = `SELECT count(*)::text FROM ${this.#table} t ${where}`
    return Number((await this.#server.query(text, values, scanTimeoutMs)).rows[0]?.[0])
  }

  async keyAt(range: KeyRange, place: number): Promise<RowKey | undefined> {
    const { where, values } = this.#within(range)
    const order = `ORDER BY ${this.#order} OFFSET ${place} LIMIT 1`
    const text = `SELECT ${this.#keyTexts} FROM ${this.#table} t ${where} ${order}`
    const [row] = (await this.#server.query(text, values, scanTimeoutMs)).rows
    return row?.map(String)
  }

  async replace(name: string, replacements: readonly Replacement[]): Promise<number> {
    const { equals, written } = this.#column(name)
    const { texts, names, condition } = this.#wanted
    const next = this.#keys.length + 1
    const held = this.#keys.map(({ column }, place) => `${column} AS ${keyName(place)}`)
    const isHeld = this.#keys.map(({ column }, place) => `${column} = held.${keyName(place)}`)
    // The locks are of the rows as they are now, and the comparison too: what changed since the statement began is
    // looked at again by the server.
    const text = `WITH wanted AS (
        SELECT * FROM unnest(${texts}, $${next}::text[], $${next + 1}::text[]) AS w (${names}, old, new)),
      held AS MATERIALIZED (SELECT ${held.join()}, wanted.old, wanted.new FROM ${this.#table} t
        JOIN wanted ON ${condition} FOR UPDATE OF t SKIP LOCKED)
      UPDATE ${this.#table} t SET ${quoted(name, '"')} = ${written('held.new')} FROM held
      WHERE ${isHeld.join(' AND ')} AND ${equals('held.old')}`
    const values = [
      ...this.#byColumn(replacements.map(({ key }) => key)),
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

  /** Keys as the first parameters, a list for each column, and what a row and a key of them have in common. */
  get #wanted(): { readonly texts: string; readonly names: string; readonly condition: string } {
    return {
      texts: this.#keys.map((_, place) => `$${place + 1}::text[]`).join(),
      names: this.#keys.map((_, place) => keyName(place)).join(),
      condition: this.#keys
        .map(({ column, type }, place) => `${column} = wanted.${keyName(place)}::${type}`)
        .join(' AND '),
    }
  }

  #byColumn(keys: readonly RowKey[]): readonly (readonly string[])[] {
    return this.#keys.map((_, place) => keys.flatMap((key) => key[place] ?? []))
  }

  #within({ after, to }: KeyRange): { readonly where: string; readonly values: readonly string[] } {
    const values: string[] = []
    const compared = (operator: string, key: RowKey): string => {
      const places = paired(this.#keys, key).map(([, text]) => `$${values.push(text)}`)
      return `(${this.#order}) ${operator} (${places.join()})`
    }
    const bounds = [
      ...(after === undefined ? [] : [compared('>', after)]),
      ...(to === undefined ? [] : [compared('<=', to)]),
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
      const { cells, ...rest } = tableRow(row, this.#names)
      return {
        ...rest,
        cells: cells.map((cell, index) => (cell === undefined ? cell : columns[index]?.decoded(cell))),
      }
    })
  }
}

async function factsOf(server: RecordServer, table: string): Promise<TableFacts> {
  const values = [quotedTable(table, '"')]
  const columns = await server.query(columnsOfTable, values)
  const indices = await server.query(uniqueIndices, values)
  return {
    columns: columns.rows.map(([name, type, nullable]) => ({
      name: String(name),
      type: String(type),
      nullable: nullable === 'true',
    })),
    unique: indices.rows.map(([names]) => JSON.parse(String(names)) as readonly string[]),
  }
}

function columnOf(name: string): string {
  return `t.${quoted(name, '"')}`
}

/** What a key column is called where it is no longer of the table. */
function keyName(place: number): string {
  return `key${place}`
}

function recordColumn(name: string, type: string): RecordColumn {
  const column = columnOf(name)
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
