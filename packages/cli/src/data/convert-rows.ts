import { AsherahError, type SessionFactory } from 'asherah'
import type { Outcome, Owned } from './by-partition.ts'
import { type RowPlan, type RowStream, rowError, type StreamRow } from './row-stream.ts'
import type { Sink } from './sink.ts'

const batchRows = 512
const batchBytes = 4 * 1024 * 1024

/** What is done with the cells of a batch of rows; one list of new cells for each row. */
export type ConvertBatch = (
  rows: readonly StreamRow[],
) => Promise<readonly (readonly (string | undefined)[])[]>

/** Writes every row with other cells, a bounded part of them in memory. Answers with the number of rows. */
export async function convertRows(
  stream: RowStream,
  sink: Pick<Sink, 'write'>,
  convert: ConvertBatch,
  betweenBatches: () => Promise<void>,
): Promise<number> {
  let batch: StreamRow[] = []
  let size = 0
  let count = 0
  const flush = async (): Promise<void> => {
    await betweenBatches()
    if (count === 0) await sink.write(stream.heading)
    const cells = await convert(batch)
    await sink.write(batch.map((row, index) => row.text(cells[index] ?? [])).join(''))
    count += batch.length
    batch = []
    size = 0
  }
  for await (const row of stream.rows) {
    batch.push(row)
    size += row.size
    if (batch.length >= batchRows || size >= batchBytes) await flush()
  }
  if (batch.length > 0 || count === 0) await flush()
  return count
}

/** Where the partition of a row is from. */
export interface Ownership {
  /** The name of the source, for errors. */
  readonly source: string
  readonly plan: RowPlan
  /** The partition of all rows; undefined when a column tells. */
  readonly partition: string | undefined
}

/** @throws CommandError `ERR_INPUT` when the row names no partition */
export function partitionOf(row: StreamRow, { source, plan, partition }: Ownership): string {
  const named = partition ?? row.partition ?? ''
  if (named !== '') return named
  throw rowError(source, row.number, `column ${JSON.stringify(plan.partitionColumn)} names no partition`)
}

/** Seals or opens each cell of each row; the first failure ends it, and tells its row and column. */
export function eachCell(
  factory: SessionFactory,
  ownership: Ownership,
  run: (factory: SessionFactory, owned: readonly Owned<string>[]) => Promise<readonly Outcome<string>[]>,
): ConvertBatch {
  const { source, plan } = ownership
  return async (rows) => {
    const cells = rows.flatMap((row) => {
      const partition = partitionOf(row, ownership)
      return row.cells.map((value, column) => ({ row, column, partition, value }))
    })
    const given = cells.flatMap(({ value, ...cell }) => (value === undefined ? [] : [{ ...cell, value }]))
    const outcomes = (await run(factory, given)).values()
    return rows.map((row) =>
      row.cells.map((cell, column) => {
        if (cell === undefined) return undefined
        const outcome = outcomes.next().value
        if (outcome !== undefined && outcome.error === undefined) return outcome.value
        throw cellError(source, row.number, plan.columns[column] ?? '', outcome?.error)
      }),
    )
  }
}

function cellError(source: string, row: number, column: string, error: unknown): unknown {
  if (!(error instanceof AsherahError)) return error
  return new AsherahError(
    error.code,
    `${source}, row ${row}, column ${JSON.stringify(column)}: ${error.message}`,
    {
      cause: error,
    },
  )
}
