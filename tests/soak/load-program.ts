// A worker thread of the soaked process, with a factory of its own: see `load.ts`.
import { openSync, writeSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { AsherahError, type AsherahSession, SessionFactory } from '../../packages/asherah/src/index.ts'
import type { JournalEntry } from '../support/racing-process.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import type { LoadReport, LoadTask, LoadWord } from './load.ts'

/** Calls under way at once. */
const lanes = 32
/** Records that are kept to be decrypted later. */
const kept = 2_048
/** One record in so many is written to the journal. */
const sampleEvery = 50
/**
 * What an outage may be told as; the bridge's own death is none. A key that is over after a second may be so each time that
 * it arrives over a slow connection: ERR_KEY_CONTENTION.
 */
const outages = ['ERR_METASTORE', 'ERR_TIMEOUT', 'ERR_KEY_CONTENTION']

const task = workerData as LoadTask
const random = new SeededRandom(task.seed)
const factory = new SessionFactory(task.config)
const journal = openSync(task.journal, 'a')
const records: JournalEntry[] = []
const touched = new Uint8Array(task.swept.length)
const errors: Record<string, number> = {}
const failures: string[] = []
let untouched = task.swept.length
let sweep = 0
let encrypted = 0
let decrypted = 0
let sampled = 0
let ending = false

/** The next partition of the sweep; until all were touched, one that was not. */
function nextSwept(): number {
  do sweep = (sweep + 1) % task.swept.length
  while (untouched > 0 && touched[sweep] === 1)
  return sweep
}

async function step(): Promise<void> {
  // Until each partition of the sweep was touched, hardly anything else is done: only then is the process warm.
  const choice = untouched > 0 && random.next() < 0.8 ? 1 : random.next()
  const synchronous = random.next() < 0.005
  if (choice < 0.45) {
    const entry = records[random.between(0, records.length)]
    if (entry !== undefined) await decrypt(entry, synchronous)
  } else if (choice < 0.85) {
    await encrypt(random.pick(task.hot as readonly [string, ...string[]]), synchronous)
  } else {
    const index = nextSwept()
    await encrypt(task.swept[index] ?? '', synchronous)
    if (touched[index] === 0) untouched -= 1
    touched[index] = 1
  }
}

async function encrypt(partition: string, synchronous: boolean): Promise<void> {
  // Mostly small, seldom one for the thread pool.
  const length = random.next() < 0.001 ? 200_000 : Math.floor(random.next() ** 4 * 8_192)
  const text = `${task.name} ${encrypted} ${'·'.repeat(length)}`
  const record = await using(partition, (session) =>
    synchronous ? session.encryptString(text) : session.encryptStringAsync(text),
  )
  encrypted += 1
  if (length > 256) return
  const entry: JournalEntry = { partition, text, record }
  records[records.length < kept ? records.length : random.between(0, kept)] = entry
  if (encrypted % sampleEvery !== 0) return
  writeSync(journal, `${JSON.stringify(entry)}\n`)
  sampled += 1
}

async function decrypt({ partition, text, record }: JournalEntry, synchronous: boolean): Promise<void> {
  const opened = await using(partition, (session) =>
    synchronous ? session.decryptString(record) : session.decryptStringAsync(record),
  )
  if (opened !== text) failures.push(`a record of ${partition} has another text`)
  decrypted += 1
}

async function using<T>(partition: string, call: (session: AsherahSession) => T | Promise<T>): Promise<T> {
  const session = factory.getSession(partition)
  try {
    return await call(session)
  } finally {
    session.close()
  }
}

async function lane(): Promise<void> {
  for (let steps = 1; !ending; steps += 1) {
    try {
      await step()
    } catch (error) {
      const code = error instanceof AsherahError ? error.code : String(error)
      errors[code] = (errors[code] ?? 0) + 1
      if (!outages.includes(code) && failures.length < 10) failures.push(String(error))
    }
    // Hits are answered at once, and would leave no time for anything else.
    if (steps % 8 === 0) await turn()
  }
}

function report(finished = false): LoadReport {
  const ringFull = factory.stats().evictions > 0
  return {
    finished,
    encrypted,
    decrypted,
    sampled,
    touched: task.swept.length - untouched,
    ringFull,
    errors,
    failures,
  }
}

const telling = setInterval(() => {
  // What is in use is measured, and not what V8 has not looked at for a while.
  globalThis.gc?.()
  parentPort?.postMessage(report())
}, 1_000)
const left = new Promise<void>((resolve) => {
  parentPort?.on('message', (word: LoadWord) => {
    ending = true
    if (word === 'leave') resolve()
  })
})
await Promise.all(Array.from({ length: lanes }, lane))
clearInterval(telling)
parentPort?.postMessage(report(true))
// The thread that other threads' keys are loaded by may be this one's, and end with it.
await left
await factory.closeAsync()
parentPort?.close()
