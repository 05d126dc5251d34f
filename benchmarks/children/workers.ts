// Nanoseconds a record of so many worker threads together, each with a factory and a session of its own.
import { randomBytes } from 'node:crypto'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { SessionFactory } from 'asherah'
import { configuration } from '../configuration.ts'

interface Work {
  readonly operation: string
  readonly ms: number
  /** One number a worker that is ready; all begin when everybody is. */
  readonly ready: SharedArrayBuffer
  readonly workers: number
}

if (isMainThread) await measure()
else work(workerData as Work)

async function measure(): Promise<void> {
  const [operation = '', count, ms] = process.argv.slice(2)
  const workers = Number(count)
  const given: Work = { operation, ms: Number(ms), ready: new SharedArrayBuffer(4), workers }
  const rates = await Promise.all(
    Array.from(
      { length: workers },
      () =>
        new Promise<number>((resolve, reject) => {
          const worker = new Worker(new URL(import.meta.url), { workerData: given })
          worker.once('message', resolve)
          worker.once('error', reject)
        }),
    ),
  )
  console.log(1 / rates.reduce((sum, rate) => sum + rate, 0))
}

/** Answers with records a nanosecond. */
function work({ operation, ms, ready, workers }: Work): void {
  const factory = new SessionFactory(configuration())
  const session = factory.getSession('tenant-42')
  const data = randomBytes(64)
  const record = session.encrypt(data)
  const call = operation === 'encrypt' ? () => session.encrypt(data) : () => session.decrypt(record)
  for (let warm = 0; warm < 200_000; warm++) call()
  const flag = new Int32Array(ready)
  Atomics.add(flag, 0, 1)
  while (Atomics.load(flag, 0) < workers);
  const start = performance.now()
  let calls = 0
  while (performance.now() - start < ms) {
    for (let index = 0; index < 1_000; index++) call()
    calls += 1_000
  }
  const rate = calls / ((performance.now() - start) * 1e6)
  factory.close()
  parentPort?.postMessage(rate)
}
