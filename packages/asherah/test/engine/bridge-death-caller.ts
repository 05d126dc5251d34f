import { parentPort, type Worker, workerData } from 'node:worker_threads'
import { SeededRandom } from '../../../../tests/support/seeded-random.ts'
import { type AsherahConfig, AsherahError, SessionFactory } from '../../src/index.ts'

/** What a calling thread is told, and what it tells. */
export interface CallerTask {
  readonly name: string
  readonly config: AsherahConfig
  readonly seed: number
  /** Longest life of a bridge that this thread starts, in milliseconds. */
  readonly longestLifeMs: number
  /** Calls that must have been interrupted by a bridge's death before it ends. */
  readonly interrupted: number
  /** It ends by then, however many there were. */
  readonly limitMs: number
}

export interface CallerReport {
  readonly kills: number
  readonly calls: number
  readonly interrupted: number
  readonly slowestMs: number
  /** What was thrown besides `ERR_BRIDGE`. */
  readonly others: readonly string[]
  readonly sealed: readonly { readonly partition: string; readonly record: string }[]
  /** The first synchronous call that a bridge answered after the killing had ended. */
  readonly attemptsAtTheEnd: number
}

const task = workerData as CallerTask
const random = new SeededRandom(task.seed)
let killing = true
let kills = 0

process.on('worker', (bridge: Worker) => {
  const end = setTimeout(
    () => {
      if (!killing) return
      kills += 1
      void bridge.terminate()
    },
    random.between(0, task.longestLifeMs),
  )
  bridge.once('exit', () => clearTimeout(end))
})

const factory = new SessionFactory(task.config)
const sealed: { partition: string; record: string }[] = []
const others: string[] = []
let calls = 0
let interrupted = 0
let slowestMs = 0

/** One synchronous call that has to load its key; whether the bridge answered it. */
function call(): boolean {
  calls += 1
  const partition = `${task.name}-${calls}`
  const session = factory.getSession(partition)
  const started = performance.now()
  try {
    sealed.push({ partition, record: session.encryptString(partition) })
    return true
  } catch (error) {
    if (error instanceof AsherahError && error.code === 'ERR_BRIDGE') interrupted += 1
    else others.push(String(error))
    return false
  } finally {
    slowestMs = Math.max(slowestMs, performance.now() - started)
    session.close()
  }
}

const end = performance.now() + task.limitMs
while (interrupted < task.interrupted && performance.now() < end) {
  call()
  // While this thread blocks, it cannot kill the bridge that it started.
  await new Promise((resolve) => setTimeout(resolve, random.between(0, 8)))
}
killing = false
// What is being terminated now may take one more call with it, here and in each other thread.
let attemptsAtTheEnd = 1
while (!call() && attemptsAtTheEnd < 10) attemptsAtTheEnd += 1
factory.close()
const report: CallerReport = { kills, calls, interrupted, slowestMs, others, sealed, attemptsAtTheEnd }
parentPort?.postMessage(report)
