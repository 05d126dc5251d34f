import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { AsherahError, clearPlaintext, type SessionFactory } from 'asherah'
import { openFactory } from './factory.ts'
import { JobError } from './job-error.ts'
import { Latency } from './latency.ts'
import type { Run, StoredRow } from './row-store.ts'
import { type SplitRow, splitRows } from './split-row.ts'
import type { Work } from './work.ts'

/** One row on its way, to be looked at. */
export interface Example {
  readonly source: SplitRow
  readonly stored: StoredRow
  readonly opened: string
}

/** What checking has come to. */
export interface Verification {
  readonly rows: number
  readonly latency: Latency
  /** The first row. */
  readonly example: Example | undefined
}

const turnRows = 500

/**
 * Reads source and database side by side and compares every value, byte for byte. Keys come from the database and the
 * master key alone, in real time.
 *
 * @throws JobError `ERR_MISMATCH` at the first difference, `ERR_STOPPED` when it is stopped
 */
export async function verify(work: Work, run: Run): Promise<Verification> {
  const { source, store, progress } = work
  const mismatch = (difference: string, cause?: unknown): JobError =>
    new JobError('ERR_MISMATCH', `${store.path} is not what was sealed: ${difference}`, { cause })
  using factory = openFactory(store.path, work.masterKeyHex)
  using storedRows = store.rows()
  const latency = new Latency()
  let example: Example | undefined
  let rows = 0
  for await (const row of splitRows(source, run.plan)) {
    const { done, value: stored } = storedRows.next()
    // A run that was stopped has the first rows only.
    if (done === true && !run.finished && rows === run.rows) break
    rows++
    if (done === true || stored.number !== rows) throw mismatch(`the row of line ${row.line} is missing`)
    const difference = plainDifference(row, stored, run)
    if (difference !== undefined) throw mismatch(`the row of line ${row.line} has another ${difference}`)
    const opened = open(factory, stored, latency, (reason, cause) =>
      mismatch(`the row of line ${row.line} cannot be opened: ${reason}`, cause),
    )
    if (!opened.equals(Buffer.from(row.sensitive))) {
      throw mismatch(`the row of line ${row.line} opens to other values`)
    }
    example ??= { source: row, stored, opened: opened.toString() }
    clearPlaintext(opened)
    if (rows % turnRows !== 0) continue
    progress.show(row.position / source.bytes, rows)
    // Lets a signal in.
    await eventLoopTurn()
    if (work.stop.aborted)
      throw new JobError('ERR_STOPPED', `Stopped. The first ${rows} rows are as they were sealed`)
  }
  if (storedRows.next().done !== true) throw mismatch(`it has more rows than the ${rows} of ${source.path}`)
  progress.done(rows)
  return { rows, latency, example }
}

function plainDifference(row: SplitRow, stored: StoredRow, run: Run): string | undefined {
  if (stored.owner !== row.owner) return 'owner'
  const at = row.plain.findIndex((value, column) => stored.plain[column] !== value)
  return at < 0 ? undefined : `"${run.plan.plainColumns[at]}"`
}

function open(
  factory: SessionFactory,
  stored: StoredRow,
  latency: Latency,
  failed: (reason: string, cause: AsherahError) => JobError,
): Buffer {
  try {
    using session = factory.getSession(stored.owner)
    return latency.timed(() => session.decrypt(stored.sealed))
  } catch (error) {
    throw error instanceof AsherahError ? failed(`${error.code} ${error.message}`, error) : error
  }
}
