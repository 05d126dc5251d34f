import { type Command, Option } from 'commander'
import { CommandError } from '../command-error.ts'
import type { Options } from '../configuration/sources.ts'
import { CsvStream } from './csv-stream.ts'
import { JsonStream, stringCells, valueCells } from './json-stream.ts'
import type { RowPlan, RowStream } from './row-stream.ts'
import { readText, type Source } from './text-source.ts'

/** Adds the flags that say what is read, where the result goes, and which columns are dealt with. */
export function declareRowFlags(command: Command): void {
  command
    .option('--in <file>', 'what is read; stdin without')
    .option('--out <file>', 'where the result goes; stdout without')
    .option('--force', 'replace the file of --out when it is there already')
    .option('--partition <id>', 'whose records these are')
    .addOption(new Option('--format <format>', 'rows of text').choices(['csv', 'jsonl']))
    .option('--columns <names>', 'with --format: the columns that are records, a,b')
    .option('--partition-column <name>', 'with --format: the column that names the partition of each row')
    .option('--delimiter <character>', 'with csv: what is between columns', ',')
}

/** How a text of rows is read. */
export interface RowFormat {
  readonly format: 'csv' | 'jsonl'
  readonly plan: RowPlan
  readonly partition: string | undefined
  readonly delimiter: string
}

/** What the flags say of rows; undefined when the whole input is one record. */
export function readRowFormat(options: Options): RowFormat | undefined {
  const { format, columns, partition, partitionColumn, delimiter } = options
  if (format !== 'csv' && format !== 'jsonl') {
    if (columns === undefined && partitionColumn === undefined) return undefined
    throw new CommandError('ERR_USAGE', '--columns and --partition-column are for rows', '--format csv|jsonl')
  }
  if ((partition === undefined) === (partitionColumn === undefined)) {
    throw new CommandError(
      'ERR_USAGE',
      'rows need either one partition or the column that names it',
      '--partition ID, or --partition-column NAME',
    )
  }
  if (typeof delimiter !== 'string' || !/^[^"\r\n]$/u.test(delimiter)) {
    throw new CommandError('ERR_USAGE', '--delimiter must be one character, and no quote', "--delimiter ';'")
  }
  const plan = {
    columns: readColumns('--columns', columns),
    partitionColumn: typeof partitionColumn === 'string' ? partitionColumn : undefined,
  }
  if (plan.partitionColumn !== undefined && plan.columns.includes(plan.partitionColumn)) {
    throw new CommandError('ERR_USAGE', 'the column that names the partition cannot be a record itself')
  }
  return { format, plan, partition: typeof partition === 'string' ? partition : undefined, delimiter }
}

/** The names that a flag has, a,b. */
export function readColumns(flag: string, columns: unknown): readonly string[] {
  const names = typeof columns === 'string' ? columns.split(',').map((name) => name.trim()) : []
  if (names.length === 0 || names.includes('')) {
    throw new CommandError('ERR_USAGE', 'no columns are named', `${flag} a,b`)
  }
  if (new Set(names).size === names.length) return names
  throw new CommandError('ERR_USAGE', `${flag} names a column twice`)
}

/** The rows of a source. `read` and `written` say what JSON cells are; of CSV all cells are text. */
export function rowsOf(
  source: Source,
  { format, plan, delimiter }: Pick<RowFormat, 'format' | 'plan' | 'delimiter'>,
  cells: { readonly read: 'strings' | 'values'; readonly written: 'strings' | 'values' },
  onBytes: (count: number) => void,
): RowStream {
  const text = readText(source, onBytes)
  if (format === 'csv') return new CsvStream(source.name, text, plan, delimiter)
  const kinds = { strings: stringCells, values: valueCells }
  return new JsonStream(source.name, text, plan, kinds[cells.read], kinds[cells.written])
}
