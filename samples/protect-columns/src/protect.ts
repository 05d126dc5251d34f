import { resolve } from 'node:path'
import { setImmediate as eventLoopTurn } from 'node:timers/promises'
import { AsherahError, type FactoryStats, type SessionFactory } from 'asherah'
import { openFactory } from './factory.ts'
import { JobError } from './job-error.ts'
import { Latency } from './latency.ts'
import { MovingClock } from './moving-clock.ts'
import type { Plan } from './plan.ts'
import type { StoredRow } from './row-store.ts'
import { type SplitRow, splitRows } from './split-row.ts'
import { inputError } from './text-file.ts'
import type { Work } from './work.ts'

/** What sealing has come to. */
export interface Protection {
  readonly rows: number
  readonly sensitiveBytes: number
  readonly sealedBytes: number
  readonly latency: Latency
  readonly milliseconds: number
  /** Where the moved clock stands at the end, in Unix milliseconds. */
  readonly clockMs: number
  readonly stats: FactoryStats
}

const batchRows = 500
const batchLength = 4 * 1024 * 1024

/**
 * Seals every row and writes it. A batch is sealed first and written afterwards: a key that comes up on the way is
 * stored through the library's own connection, which a transaction of ours would lock out.
 *
 * @throws JobError `ERR_INPUT`, `ERR_DATABASE`, or `ERR_STOPPED` when it is stopped; the rows so far are then written
 */
export async function protect(work: Work, plan: Plan): Promise<Protection> {
  const { source, store, progress } = work
  const clock = new MovingClock(store.lastRun()?.clockMs ?? 0)
  using factory = openFactory(store.path, work.masterKeyHex, clock)
  store.begin(resolve(source.path), plan, clock.now())
  const latency = new Latency()
  const began = performance.now()
  let batch: StoredRow[] = []
  let [batched, rows, sensitiveBytes, sealedBytes] = [0, 0, 0, 0]

  for await (const row of splitRows(source, plan)) {
    const sealed = seal(factory, row, latency, source.path)
    rows++
    sensitiveBytes += Buffer.byteLength(row.sensitive)
    sealedBytes += sealed.length
    batched += sealed.length
    batch.push({ number: rows, owner: row.owner, plain: row.plain, sealed })
    clock.moveTo(row.position / source.bytes)
    if (batch.length < batchRows && batched < batchLength) continue
    store.add(batch, clock.now(), false)
    batch = []
    batched = 0
    progress.show(row.position / source.bytes, rows)
    // Lets a signal in.
    await eventLoopTurn()
    if (work.stop.aborted) throw stopped(store.path, rows)
  }
  store.add(batch, clock.now(), true)
  progress.done(rows)
  const milliseconds = performance.now() - began
  return {
    rows,
    sensitiveBytes,
    sealedBytes,
    latency,
    milliseconds,
    clockMs: clock.now(),
    stats: factory.stats(),
  }
}

function seal(factory: SessionFactory, row: SplitRow, latency: Latency, path: string): string {
  try {
    using session = factory.getSession(row.owner)
    return latency.timed(() => session.encryptString(row.sensitive))
  } catch (error) {
    if (!(error instanceof AsherahError) || !/^ERR_(PARTITION|TEXT|PAYLOAD)_/.test(error.code)) throw error
    throw inputError(path, `line ${row.line} cannot be sealed: ${error.message}`, error)
  }
}

function stopped(database: string, rows: number): JobError {
  const next = `Begin again: npm start; or check them: npm start -- --verify-only --database ${database}`
  return new JobError(
    'ERR_STOPPED',
    `Stopped. ${database} is whole and holds the first ${rows} rows. ${next}`,
  )
}
