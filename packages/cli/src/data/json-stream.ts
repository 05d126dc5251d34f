import type { CommandError } from '../command-error.ts'
import { memberSpans, type Span } from './json-members.ts'
import { longestRow, type RowPlan, type RowStream, rowError, type StreamRow } from './row-stream.ts'

/** What a cell is, as text, and what stands for a text in its place. */
export interface JsonCells {
  /** Undefined when it is of a kind that cannot be sealed. */
  read(value: string): string | undefined
  write(text: string): string
}

/** A cell that is a JSON string. */
export const stringCells: JsonCells = {
  read: (value) => (value.startsWith('"') ? (JSON.parse(value) as string) : undefined),
  write: (text) => JSON.stringify(text),
}

/** A cell of any kind, as its own JSON text. */
export const valueCells: JsonCells = { read: (value) => value, write: (text) => text }

/** Rows of JSON Lines: each line is one object. All that is not replaced stays as it was written. */
export class JsonStream implements RowStream {
  readonly heading = ''
  readonly #name: string
  readonly #text: AsyncIterable<string>
  readonly #plan: RowPlan
  readonly #from: JsonCells
  readonly #to: JsonCells

  constructor(name: string, text: AsyncIterable<string>, plan: RowPlan, from: JsonCells, to: JsonCells) {
    this.#name = name
    this.#text = text
    this.#plan = plan
    this.#from = from
    this.#to = to
  }

  get rows(): AsyncIterable<StreamRow> {
    return this.#read()
  }

  async *#read(): AsyncGenerator<StreamRow, void, undefined> {
    let rest = ''
    let number = 0
    for await (const piece of this.#text) {
      const [first = '', ...lines] = piece.split('\n')
      // Only what has ended is looked at: a long line would be copied once for each piece otherwise.
      rest += first
      if (rest.length > longestRow) throw this.#tooLong(number + 1)
      for (const next of lines) {
        if (rest.trim() !== '') {
          number += 1
          yield this.#row(number, rest)
        }
        rest = next
      }
    }
    if (rest.trim() !== '') yield this.#row(number + 1, rest)
  }

  #row(number: number, line: string): StreamRow {
    if (line.length > longestRow) throw this.#tooLong(number)
    const spans = this.#spans(number, line)
    const { columns, partitionColumn } = this.#plan
    return {
      number,
      partition: partitionColumn === undefined ? undefined : this.#partition(number, line, spans),
      cells: columns.map((column) => this.#cell(number, line, column, spans.get(column))),
      size: line.length,
      text: (replaced) => this.#replaced(line, spans, replaced),
    }
  }

  #spans(number: number, line: string): ReadonlyMap<string, Span> {
    let spans: ReadonlyMap<string, Span> | undefined
    try {
      spans = memberSpans(line)
    } catch {
      // The parser's own message quotes the data.
      throw rowError(this.#name, number, 'it is no JSON', 'each line is one object: {"name":"Ann"}')
    }
    if (spans !== undefined) return spans
    throw rowError(this.#name, number, 'it is not one JSON object whose members have different names')
  }

  #partition(number: number, line: string, spans: ReadonlyMap<string, Span>): string | undefined {
    const { partitionColumn = '' } = this.#plan
    const span = spans.get(partitionColumn)
    if (span === undefined) return undefined
    const value = line.slice(span.start, span.end)
    if (value.startsWith('"')) return JSON.parse(value) as string
    // A number is the partition that its digits name; nothing else names one.
    if (/^-?\d+$/.test(value)) return value
    throw rowError(
      this.#name,
      number,
      `column ${JSON.stringify(partitionColumn)} is neither a string nor an integer`,
    )
  }

  #cell(number: number, line: string, column: string, span: Span | undefined): string | undefined {
    if (span === undefined) return undefined
    const value = line.slice(span.start, span.end)
    if (value === 'null') return undefined
    const text = this.#from.read(value)
    if (text !== undefined) return text
    throw rowError(
      this.#name,
      number,
      `column ${JSON.stringify(column)} is no string`,
      '--json-values seals any value as its JSON text; decrypt with it too',
    )
  }

  #replaced(line: string, spans: ReadonlyMap<string, Span>, cells: readonly (string | undefined)[]): string {
    const changes = this.#plan.columns
      .flatMap((column, index) => {
        const [span, cell] = [spans.get(column), cells[index]]
        return span === undefined || cell === undefined ? [] : [{ span, cell }]
      })
      .toSorted((one, other) => one.span.start - other.span.start)
    let text = ''
    let at = 0
    for (const { span, cell } of changes) {
      text += line.slice(at, span.start) + this.#to.write(cell)
      at = span.end
    }
    return `${text}${line.slice(at).replace(/\r$/, '')}\n`
  }

  #tooLong(number: number): CommandError {
    return rowError(this.#name, number, `it is longer than ${longestRow} characters`)
  }
}
