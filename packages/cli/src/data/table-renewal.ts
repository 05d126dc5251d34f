import { setTimeout as pause } from 'node:timers/promises'
import { type CommandContext, goesOn } from '../command-context.ts'
import type { RateLimit } from './rate-limit.ts'
import type { KeyRange, RecordTable, Replacement, TableNames, TableRow } from './record-table.ts'
import type { Renewal } from './renewal.ts'
import { type RowKey, shownKey } from './row-key.ts'
import { type Counts, Tally } from './tally.ts'

/** Attempts at a row that somebody else writes or holds, and how long to wait between them. */
const mostAttempts = 8
const attemptPauseMs = 25

/** What a {@link TableRenewal} works with. */
export interface TableWork {
  readonly table: RecordTable
  readonly names: TableNames
  /** Of all rows; undefined where a column names it. */
  readonly partition: string | undefined
  readonly renewal: Renewal
  readonly limit: RateLimit
  readonly dryRun: boolean
}

/** A record in a row. */
interface Cell {
  readonly key: RowKey
  readonly column: string
  readonly partition: string
  readonly value: string
}

/** Seals the records of a table anew, a part of its rows after another, in the order of the key. */
export class TableRenewal {
  readonly tally: Tally
  readonly #context: CommandContext
  readonly #work: TableWork

  /** @param counts what an earlier run came to, which this one goes on with. */
  constructor(context: CommandContext, work: TableWork, counts?: Counts) {
    this.#context = context
    this.#work = work
    this.tally = new Tally(counts)
  }

  /** `onBatch` is told, after each part was committed, which key it ended with, and how many rows it had. */
  async run(range: KeyRange, onBatch: (last: RowKey, rows: number) => void): Promise<void> {
    const { table, limit } = this.#work
    const most = Math.min(table.batch, limit.mostAtOnce)
    let { after } = range
    for (;;) {
      await this.#context.checkInterrupted(goesOn)
      const rows = await table.page({ ...range, after }, most)
      const last = rows.at(-1)
      if (last === undefined) return
      await this.#batch(rows)
      this.tally.rows += rows.length
      onBatch(last.key, rows.length)
      after = last.key
      await limit.pass(rows.length)
    }
  }

  async #batch(first: readonly TableRow[]): Promise<void> {
    let rows = first
    for (let attempt = 1; ; attempt++) {
      const { open, left } = await this.#attempt(rows, attempt === 1)
      if (left === 0) return
      if (attempt === mostAttempts) {
        this.tally.busy += left
        return
      }
      await pause(attemptPauseMs * attempt)
      // Whoever wrote meanwhile did so under the latest key, unless it is a process that has not heard of it. All cells of a
      // row have its key, which is the same object.
      rows = await this.#work.table.rows([...new Set(open.map(({ key }) => key))])
    }
  }

  /** Answers with how many records could not be replaced, and the ones among which they are. */
  async #attempt(
    rows: readonly TableRow[],
    first: boolean,
  ): Promise<{ readonly left: number; readonly open: readonly Cell[] }> {
    const { table, names, renewal, dryRun } = this.#work
    const cells = rows.flatMap((row) => this.#cells(row, first))
    const answers = await renewal.renew(cells)
    const stale: { readonly cell: Cell; readonly record: string }[] = []
    for (const [index, cell] of cells.entries()) {
      const answer = answers[index]
      if (answer?.kind === 'stale') {
        if (dryRun) this.tally.renewed += 1
        if (answer.record !== undefined) stale.push({ cell, record: answer.record })
      } else if (!first) continue
      else if (answer?.kind === 'current') this.tally.current += 1
      else if (answer !== undefined) this.#unreadable(cell.key, cell.column, answer.why)
    }
    const open: Cell[] = []
    let left = 0
    for (const column of names.columns) {
      const mine = stale.filter(({ cell }) => cell.column === column)
      if (mine.length === 0) continue
      const replacements = mine.map(
        ({ cell, record }): Replacement => ({ key: cell.key, from: cell.value, to: record }),
      )
      const replaced = await table.replace(column, replacements)
      this.tally.renewed += replaced
      if (replaced === mine.length) continue
      // Which ones they are shows when the rows are read again.
      left += mine.length - replaced
      open.push(...mine.map(({ cell }) => cell))
    }
    return { open, left }
  }

  #cells(row: TableRow, first: boolean): readonly Cell[] {
    const { names, partition = row.partition } = this.#work
    return row.cells.flatMap((value, index) => {
      if (value === undefined) return []
      const column = names.columns[index] ?? ''
      if (partition !== undefined && partition !== '') return { key: row.key, column, partition, value }
      if (first) this.#unreadable(row.key, column, 'its row names no partition')
      return []
    })
  }

  #unreadable(key: RowKey, column: string, why: string): void {
    this.tally.unreadable += 1
    this.#context.output.note(
      `left as it is: the row ${shownKey(key)}, column ${JSON.stringify(column)}: ${why}`,
    )
  }
}
