import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { SeededRandom } from '../../../../tests/support/seeded-random.ts'
import { type AsherahConfig, SessionFactory } from '../../src/index.ts'
import type { CallerReport, CallerTask } from './bridge-death-caller.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-bridge-death-'))
after(() => rmSync(folder, { recursive: true }))

const callTimeout = 5_000
const threads = 3
const interruptedPerThread = 6

const store = new URL('../support/slow-store.ts', import.meta.url)
store.searchParams.set('path', join(folder, 'keys.db'))
store.searchParams.set('delay', '2')
const config: AsherahConfig = {
  serviceName: 'api',
  productId: 'catalog',
  metastore: store.href,
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
  callTimeout,
}

test('the bridge is killed at random while threads wait for it: they are told, and the next calls work', {
  timeout: 120_000,
}, async (context) => {
  const random = SeededRandom.fromEnvironment()
  context.diagnostic(`seed ${random.seed}`)
  using factory = new SessionFactory(config)
  await factory.warm(['here'])
  const reports = await Promise.all(
    Array.from({ length: threads }, async (_, index) => {
      const name = `thread-${index}`
      const task: CallerTask = {
        name,
        config,
        seed: random.fork(name).seed,
        longestLifeMs: 250,
        interrupted: interruptedPerThread,
        limitMs: 40_000,
      }
      const worker = new Worker(new URL('bridge-death-caller.ts', import.meta.url), { workerData: task })
      const failed = once(worker, 'error').then(([error]) => Promise.reject(error))
      const [report] = await Promise.race([once(worker, 'message'), failed])
      return report as CallerReport
    }),
  )
  for (const { kills, calls, interrupted, slowestMs, others, attemptsAtTheEnd } of reports) {
    context.diagnostic(
      `${calls} calls, ${interrupted} interrupted, ${kills} bridges killed, slowest ${slowestMs.toFixed(0)} ms`,
    )
    assert.deepEqual(others, [])
    assert.ok(interrupted >= interruptedPerThread, `only ${interrupted} calls were interrupted`)
    // The death of the bridge, and not the limit of the call, is what ends the wait.
    assert.ok(slowestMs < callTimeout, `a call took ${slowestMs} ms`)
    assert.ok(attemptsAtTheEnd <= threads + 1, `${attemptsAtTheEnd} calls until one was answered`)
  }
  await using reader = new SessionFactory(config)
  for (const { partition, record } of reports.flatMap(({ sealed }) => sealed))
    assert.equal(await reader.getSession(partition).decryptStringAsync(record), partition)
})
