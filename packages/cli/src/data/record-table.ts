import { CommandError } from '../command-error.ts'
import type { RowKey } from './row-key.ts'

/** Which columns of which table. */
export interface TableNames {
  /** `table` or `schema.table`. */
  readonly table: string
  /** Those that tell its rows apart together, in the order in which rows are gone through. */
  readonly keyColumns: readonly string[]
  readonly columns: readonly string[]
  /** Undefined when all rows are of one partition. */
  readonly partitionColumn: string | undefined
}

/** A row as far as it is dealt with. */
export interface TableRow {
  readonly key: RowKey
  readonly partition: string | undefined
  /** In the order of {@link TableNames.columns}; undefined for NULL. */
  readonly cells: readonly (string | undefined)[]
}

/** A record in the place of another. */
export interface Replacement {
  readonly key: RowKey
  readonly from: string
  readonly to: string
}

/** Rows with a key above `after` and not above `to`; undefined means no bound. */
export interface KeyRange {
  readonly after: RowKey | undefined
  readonly to: RowKey | undefined
}

/** A table with records in it. Rows are in the order of the key, as the database compares it. */
export interface RecordTable {
  page(range: KeyRange, limit: number): Promise<readonly TableRow[]>
  /** These rows as they are now; those that are gone are left out. */
  rows(keys: readonly RowKey[]): Promise<readonly TableRow[]>
  count(range: KeyRange): Promise<number>
  /** The key of a place in the range, from 0. */
  keyAt(range: KeyRange, place: number): Promise<RowKey | undefined>
  /**
   * Replaces records in one column, each only where it is still what it was, and commits. It never waits for a row that
   * somebody else holds, so it can be no part of a deadlock; such rows stay as they are. Answers with how many it replaced.
   */
  replace(column: string, replacements: readonly Replacement[]): Promise<number>
  /** Rows that {@link replace} takes at once. */
  readonly batch: number
  close(): Promise<void>
}

/** `schema.table` as its parts. */
export function tableParts(table: string): readonly string[] {
  const parts = table.split('.')
  if (parts.length <= 2 && parts.every((part) => part !== '' && !part.includes('\0'))) return parts
  throw new CommandError('ERR_USAGE', '--table must be NAME or SCHEMA.NAME')
}

/** A row as a database answers it: its key, its partition where it has one, its cells. */
export function tableRow(values: readonly unknown[], { keyColumns, partitionColumn }: TableNames): TableRow {
  const others = values.slice(keyColumns.length)
  const [partition, ...cells] = partitionColumn === undefined ? [undefined, ...others] : others
  return {
    key: values.slice(0, keyColumns.length).map(String),
    partition: optional(partition),
    cells: cells.map(optional),
  }
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
