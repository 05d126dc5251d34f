import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from '../src/data/rate-limit.ts'
import { ScriptFolder } from './script-runner.ts'

test('reencrypt goes no faster than it may', { timeout: 60_000 }, (context) => {
  const folder = new ScriptFolder()
  context.after(() => folder.remove())
  assert.deepEqual(folder.run('table make $(seq 100)'), [])
  const line =
    'asherah reencrypt --table orders --columns card --partition-column owner --older-than 90d --yes'
  const began = performance.now()
  assert.deepEqual(folder.run(`${line} --rows-per-second 100`), [
    '200 rows: 200 records were sealed anew, 0 need not be.',
  ])
  const took = performance.now() - began
  assert.ok(took >= 1500, `${took} ms`)
})

test('a rate is not made up for after a slow while, and parts are no larger than a second', async () => {
  const limit = new RateLimit(100, new AbortController().signal)
  assert.equal(limit.mostAtOnce, 100)
  await new Promise((resolve) => setTimeout(resolve, 300))
  // What was free until now lets this part through at once.
  await limit.pass(30)
  const began = performance.now()
  await limit.pass(20)
  await limit.pass(20)
  const took = performance.now() - began
  assert.ok(took >= 390, `${took} ms`)
})

test('an interruption ends the wait', { timeout: 10_000 }, async () => {
  const interrupted = new AbortController()
  const waiting = new RateLimit(1, interrupted.signal).pass(1000)
  interrupted.abort()
  await waiting
})
