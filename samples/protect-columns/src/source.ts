import { extname } from 'node:path'
import { csvRows } from './csv-rows.ts'
import { jsonLines } from './json-lines.ts'
import type { SourceRow } from './source-row.ts'
import { findTextFile, inputError, readText, type TextFile } from './text-file.ts'

/** A file of rows, streamed anew at each use. */
export interface Source extends TextFile {
  readonly format: 'CSV' | 'JSON Lines'
  rows(): AsyncGenerator<SourceRow, void, undefined>
  /** A value as JSON. */
  toJson(value: string): string
  /** A value as the name of an owner; undefined when it names nobody. */
  toOwner(value: string | undefined): string | undefined
}

/** What the first rows show. */
export interface Survey {
  readonly rows: number
  /** Values that occur, by column, in the order of the columns. */
  readonly distinct: ReadonlyMap<string, number>
  /** Columns that name an owner in each of the rows. */
  readonly owning: ReadonlySet<string>
}

const surveyedRows = 1000
const surveyedBytes = 8 * 1024 * 1024

/** @throws JobError `ERR_INPUT` */
export async function openSource(path: string): Promise<Source> {
  const file = findTextFile(path)
  let beginning = ''
  for await (const text of readText(file)) {
    beginning += text
    if (beginning.trimStart() !== '') break
  }
  const first = beginning.trimStart()
  if (first === '')
    throw inputError(path, 'holds white space only. Give a CSV or JSON Lines file: npm start -- FILE')
  const named = /^\.(jsonl|ndjson|json)$/i.test(extname(path))
  return named || first.startsWith('{') ? jsonSource(file) : csvSource(file, delimiterOf(first))
}

/** @throws JobError `ERR_INPUT` */
export async function surveySource(source: Source): Promise<Survey> {
  const values = new Map<string, Set<string>>()
  const named = new Map<string, number>()
  let rows = 0
  for await (const row of source.rows()) {
    rows++
    for (const [column, value] of row.values) {
      values.set(column, (values.get(column) ?? new Set()).add(value))
      if (source.toOwner(value) !== undefined) named.set(column, (named.get(column) ?? 0) + 1)
    }
    if (rows === surveyedRows || row.position > surveyedBytes) break
  }
  if (rows === 0)
    throw inputError(source.path, 'has a header but no rows. Give a file with data: npm start -- FILE')
  return {
    rows,
    distinct: new Map(Array.from(values, ([column, seen]) => [column, seen.size])),
    owning: new Set(Array.from(values.keys()).filter((column) => named.get(column) === rows)),
  }
}

function csvSource(file: TextFile, delimiter: string): Source {
  return {
    ...file,
    format: 'CSV',
    rows: () => csvRows(file, delimiter),
    toJson: (value) => JSON.stringify(value),
    toOwner: (value) => (value === '' ? undefined : value),
  }
}

function jsonSource(file: TextFile): Source {
  return {
    ...file,
    format: 'JSON Lines',
    rows: () => jsonLines(file),
    toJson: (value) => value,
    toOwner(value) {
      const parsed: unknown = value === undefined ? undefined : JSON.parse(value)
      if (typeof parsed === 'string') return parsed === '' ? undefined : parsed
      return typeof parsed === 'number' ? value : undefined
    },
  }
}

/** The one that separates most names of the first line. */
function delimiterOf(text: string): string {
  const [header = ''] = text.replaceAll(/"[^"]*"/g, '').split(/[\r\n]/, 1)
  const count = (delimiter: string): number => header.split(delimiter).length
  return [',', ';', '\t'].reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best))
}
