import { pipeline } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { longestRow, type SourceRow } from './source-row.ts'
import { inputError, readText, type TextFile } from './text-file.ts'

/** What csv-parse hands out for each record with `info: true`. */
interface Parsed {
  readonly info: { readonly bytes: number; readonly lines: number }
  readonly record: readonly string[]
}

/** @throws JobError `ERR_INPUT` */
export async function* csvRows(
  file: TextFile,
  delimiter: string,
): AsyncGenerator<SourceRow, void, undefined> {
  const parser = parse({ delimiter, info: true, max_record_size: longestRow, skip_empty_lines: true })
  // An error of the text reaches the loop below through the parser, which is destroyed with it.
  pipeline(readText(file), parser, () => undefined)
  let header: readonly string[] | undefined
  try {
    for await (const { info, record } of parser as AsyncIterable<Parsed>) {
      if (header === undefined) {
        header = columnNames(file, record)
        continue
      }
      const values = new Map(header.map((name, at) => [name, record[at] ?? '']))
      yield { line: info.lines, position: info.bytes, values }
    }
  } catch (error) {
    throw error instanceof CsvError ? explained(file, error, header) : error
  }
}

function columnNames(file: TextFile, record: readonly string[]): readonly string[] {
  const names = record.map((name, at) => (name === '' ? `column ${at + 1}` : name))
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice === undefined) return names
  throw inputError(file.path, `has two columns "${twice}". Rename one in its first line`)
}

function explained(file: TextFile, error: CsvError, header: readonly string[] | undefined) {
  const line = Number(error['lines'])
  switch (error.code) {
    case 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH': {
      const found = Array.isArray(error['record']) ? error['record'].length : 'other'
      const wanted = header?.length ?? 0
      return inputError(
        file.path,
        `line ${line} has ${found} columns where the header has ${wanted}. Correct that line`,
      )
    }
    case 'CSV_MAX_RECORD_SIZE':
      return inputError(
        file.path,
        `has a row of more than ${longestRow} characters near line ${line}. Split it first`,
      )
    case 'CSV_QUOTE_NOT_CLOSED':
      return inputError(file.path, `has a quote that line ${line} opens and nothing closes. Close it`)
    default:
      return inputError(
        file.path,
        `line ${line} is not CSV (${error.code}). Write a quote inside a field as ""`,
      )
  }
}
