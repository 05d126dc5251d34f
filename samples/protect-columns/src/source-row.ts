/** One row of the source, in the source's own words. */
export interface SourceRow {
  /** Line on which the row ends, from 1. */
  readonly line: number
  /** Bytes of the file up to the end of the row. */
  readonly position: number
  /** By column, in the row's order: the text of a CSV field, the source text of a JSON value. */
  readonly values: ReadonlyMap<string, string>
}

/** Longest row, in UTF-16 units: so a file without line ends cannot fill the memory. */
export const longestRow = 4 * 1024 * 1024
