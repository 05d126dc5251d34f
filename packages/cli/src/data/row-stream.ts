import { CommandError } from '../command-error.ts'

/** Longest row, in UTF-16 units, so that a file without line ends cannot fill the memory: a record of 64 MiB in base64. */
export const longestRow = 96 * 1024 * 1024

/** Which columns of rows are records, and whose. */
export interface RowPlan {
  readonly columns: readonly string[]
  readonly partitionColumn: string | undefined
}

/** A row as far as it is dealt with. */
export interface StreamRow {
  /** From 1, the header not counted. */
  readonly number: number
  /** The value of the partition column; undefined without one. */
  readonly partition: string | undefined
  /** In the order of the plan's columns; undefined where there is nothing to seal or open: a member that is null or missing. */
  readonly cells: readonly (string | undefined)[]
  /** Roughly how much memory it takes, in bytes. */
  readonly size: number
  /** The row as text, line end included, with other values in its columns. */
  text(cells: readonly (string | undefined)[]): string
}

/** Rows of a text, one after another. */
export interface RowStream {
  /** What stands before the rows; known as soon as the first row is. */
  readonly heading: string
  readonly rows: AsyncIterable<StreamRow>
}

/** An error about one row; it never shows a value. */
export function rowError(source: string, row: number, problem: string, hint?: string): CommandError {
  return new CommandError('ERR_INPUT', `${source}, row ${row}: ${problem}`, hint)
}
