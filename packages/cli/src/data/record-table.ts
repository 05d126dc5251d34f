import { CommandError } from '../command-error.ts'

/** Which columns of which table. */
export interface TableNames {
  /** `table` or `schema.table`. */
  readonly table: string
  readonly keyColumn: string
  readonly columns: readonly string[]
  /** Undefined when all rows are of one partition. */
  readonly partitionColumn: string | undefined
}

/** A row as far as it is dealt with. */
export interface TableRow {
  /** As text that the database reads back as the same key. */
  readonly key: string
  readonly partition: string | undefined
  /** In the order of {@link TableNames.columns}; undefined for NULL. */
  readonly cells: readonly (string | undefined)[]
}

/** A record in the place of another. */
export interface Replacement {
  readonly key: string
  readonly from: string
  readonly to: string
}

/** Rows with a key above `after` and not above `to`; undefined means no bound. */
export interface KeyRange {
  readonly after: string | undefined
  readonly to: string | undefined
}

/** A table with records in it. Rows are in the order of the key, as the database compares it. */
export interface RecordTable {
  page(range: KeyRange, limit: number): Promise<readonly TableRow[]>
  /** These rows as they are now; those that are gone are left out. */
  rows(keys: readonly string[]): Promise<readonly TableRow[]>
  count(range: KeyRange): Promise<number>
  /** The key of a place in the range, from 0. */
  keyAt(range: KeyRange, place: number): Promise<string | undefined>
  /**
   * Replaces records in one column, each only where it is still what it was, and commits. It never waits for a row that
   * somebody else holds, so it can be no part of a deadlock; such rows stay as they are. Answers with how many it replaced.
   */
  replace(column: string, replacements: readonly Replacement[]): Promise<number>
  /** Rows that {@link replace} takes at once. */
  readonly batch: number
  close(): Promise<void>
}

/** A column as the database's catalogue has it. */
export interface ColumnFacts {
  readonly name: string
  readonly type: string
  /** Whether no two rows can have the same value in it, and none has NULL. */
  readonly identifies: boolean
}

/** The facts of a column that is needed; @throws CommandError `ERR_ABSENT`, `ERR_INPUT` */
export function requireColumn(
  { table, keyColumn }: TableNames,
  facts: readonly ColumnFacts[],
  name: string,
): ColumnFacts {
  if (facts.length === 0) {
    throw new CommandError(
      'ERR_ABSENT',
      `there is no table ${JSON.stringify(table)}`,
      '--table NAME or SCHEMA.NAME',
    )
  }
  const column = facts.find((each) => each.name === name)
  if (column === undefined) {
    throw new CommandError(
      'ERR_ABSENT',
      `the table ${JSON.stringify(table)} has no column ${JSON.stringify(name)}`,
    )
  }
  if (name !== keyColumn || column.identifies) return column
  throw new CommandError(
    'ERR_INPUT',
    `the column ${JSON.stringify(name)} does not tell rows apart: it is no primary key, nor unique and NOT NULL`,
    '--key-column NAME',
  )
}

/** For keys that cannot be told apart, or put in order, by their text. */
export function keyTypeError(type: string, possible: string): CommandError {
  return new CommandError(
    'ERR_INPUT',
    `the key column is of the type ${type}, by which rows cannot be gone through; it must be ${possible}`,
    '--key-column NAME',
  )
}

/** `schema.table` as its parts. */
export function tableParts(table: string): readonly string[] {
  const parts = table.split('.')
  if (parts.length <= 2 && parts.every((part) => part !== '' && !part.includes('\0'))) return parts
  throw new CommandError('ERR_USAGE', '--table must be NAME or SCHEMA.NAME')
}

/** The facts of the key column, once every column that is named is known to be there. */
export function requireColumns(names: TableNames, facts: readonly ColumnFacts[]): ColumnFacts {
  const key = requireColumn(names, facts, names.keyColumn)
  for (const name of names.columns) requireColumn(names, facts, name)
  if (names.partitionColumn !== undefined) requireColumn(names, facts, names.partitionColumn)
  return key
}

/** A row as a database answers it: its key, its partition where it has one, its cells. */
export function tableRow([key, ...others]: readonly unknown[], hasPartition: boolean): TableRow {
  const [partition, ...cells] = hasPartition ? others : [undefined, ...others]
  return { key: String(key), partition: optional(partition), cells: cells.map(optional) }
}

function optional(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : String(value)
}

/** Counting and looking for places reads a whole index. */
export const scanTimeoutMs = 3_600_000

/** The name of a table as SQL, whatever characters it has. */
export function quotedTable(table: string, quote: '"' | '`'): string {
  return tableParts(table)
    .map((part) => quoted(part, quote))
    .join('.')
}

/** A name as SQL, whatever characters it has. */
export function quoted(name: string, quote: '"' | '`'): string {
  return quote + name.replaceAll(quote, quote + quote) + quote
}
