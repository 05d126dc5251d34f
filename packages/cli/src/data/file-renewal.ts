import type { CommandContext } from '../command-context.ts'
import { type ConvertBatch, type Ownership, partitionOf } from './convert-rows.ts'
import type { Renewal } from './renewal.ts'
import type { Tally } from './tally.ts'

/** Seals the records in the columns of a text anew; what cannot be read stays as it is, and is told. */
export function renewedCells(
  context: CommandContext,
  renewal: Renewal,
  ownership: Ownership,
  tally: Tally,
): ConvertBatch {
  return async (rows) => {
    const cells = rows.flatMap((row) => {
      const partition = partitionOf(row, ownership)
      return row.cells.flatMap((value) => (value === undefined ? [] : { partition, value }))
    })
    const answers = (await renewal.renew(cells)).values()
    return rows.map((row) => {
      tally.rows += 1
      return row.cells.map((cell, column) => {
        const answer = cell === undefined ? undefined : answers.next().value
        if (answer?.kind === 'stale') {
          tally.renewed += 1
          return answer.record ?? cell
        }
        if (answer?.kind === 'current') tally.current += 1
        else if (answer !== undefined) {
          tally.unreadable += 1
          const name = JSON.stringify(ownership.plan.columns[column])
          context.output.note(
            `left as it is: ${ownership.source}, row ${row.number}, column ${name}: ${answer.why}`,
          )
        }
        return cell
      })
    })
  }
}
