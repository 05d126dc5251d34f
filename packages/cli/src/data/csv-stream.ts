import { pipeline, Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { stringify } from 'csv-stringify/sync'
import { CommandError } from '../command-error.ts'
import { longestRow, type RowPlan, type RowStream, rowError, type StreamRow } from './row-stream.ts'

/** Rows of CSV text; the first line has the names of the columns. */
export class CsvStream implements RowStream {
  readonly #name: string
  readonly #text: AsyncIterable<string>
  readonly #plan: RowPlan
  readonly #delimiter: string
  #heading = ''

  constructor(name: string, text: AsyncIterable<string>, plan: RowPlan, delimiter: string) {
    this.#name = name
    this.#text = text
    this.#plan = plan
    this.#delimiter = delimiter
  }

  get heading(): string {
    return this.#heading
  }

  get rows(): AsyncIterable<StreamRow> {
    return this.#read()
  }

  async *#read(): AsyncGenerator<StreamRow, void, undefined> {
    const delimiter = this.#delimiter
    const parser = parse({ delimiter, max_record_size: longestRow, skip_empty_lines: true })
    // Errors of either reach the loop below through the parser, which is destroyed with them.
    pipeline(Readable.from(this.#text), parser, () => undefined)
    let number = -1
    let places: Places | undefined
    try {
      for await (const record of parser as AsyncIterable<readonly string[]>) {
        number += 1
        if (places === undefined) {
          places = this.#places(record)
          this.#heading = this.#line(record)
        } else yield this.#row(number, record, places)
      }
    } catch (error) {
      throw error instanceof CsvError ? this.#explained(error, number + 1) : error
    }
    if (places === undefined) throw new CommandError('ERR_INPUT', `${this.#name} is empty: it has no header`)
  }

  #row(number: number, record: readonly string[], { cells, partition }: Places): StreamRow {
    return {
      number,
      partition: partition === undefined ? undefined : record[partition],
      cells: cells.map((at) => record[at]),
      size: record.reduce((sum, { length }) => sum + length, 0),
      text: (replaced) => {
        const line = [...record]
        for (const [index, at] of cells.entries()) line[at] = replaced[index] ?? ''
        return this.#line(line)
      },
    }
  }

  #line(record: readonly string[]): string {
    return stringify([record], { delimiter: this.#delimiter })
  }

  #places(header: readonly string[]): Places {
    const place = (column: string): number => {
      const at = header.indexOf(column)
      if (at < 0) throw new CommandError('ERR_INPUT', `${this.#name} has no column ${JSON.stringify(column)}`)
      if (header.includes(column, at + 1)) {
        throw new CommandError('ERR_INPUT', `${this.#name} has two columns ${JSON.stringify(column)}`)
      }
      return at
    }
    const { columns, partitionColumn } = this.#plan
    return {
      cells: columns.map(place),
      partition: partitionColumn === undefined ? undefined : place(partitionColumn),
    }
  }

  /** The parser's own message may quote the data. */
  #explained(error: CsvError, row: number): CommandError {
    switch (error.code) {
      case 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH':
        return rowError(this.#name, row, 'it has not as many columns as the header')
      case 'CSV_MAX_RECORD_SIZE':
        return rowError(this.#name, row, `it is longer than ${longestRow} characters`)
      case 'CSV_QUOTE_NOT_CLOSED':
        return rowError(this.#name, row, 'a quote is opened that nothing closes')
      default:
        return rowError(
          this.#name,
          row,
          `it is no CSV (${error.code})`,
          'a quote inside a field is written ""',
        )
    }
  }
}

interface Places {
  readonly cells: readonly number[]
  readonly partition: number | undefined
}
