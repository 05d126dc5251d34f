import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { setLogHook } from '../../src/index.ts'
import { History, tally } from './history.ts'
import { checkIntervalSeconds, expireAfterSeconds, partitions, type Step } from './steps.ts'

/** For a longer search, and to repeat one: fast-check prints the seed of a failure. */
const runs = Number(process.env['ASHERAH_HISTORY_RUNS'] ?? 300)
const seed = process.env['ASHERAH_HISTORY_SEED']

const seconds = 1000
const interval = checkIntervalSeconds * seconds

const processIndex = fc.nat({ max: 3 })
const partitionIndex = fc.nat({ max: partitions.length - 1 })
/** Half of the calls go to one partition, so that something comes of what happened to its key. */
const likelyPartition = fc.oneof(fc.constant(0), partitionIndex)
const skewMs = fc.constantFrom(0, 0, 0, -95 * seconds, -20 * seconds, 40 * seconds, 130 * seconds)
const call = fc.record({ process: processIndex, partition: likelyPartition })

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('encrypt' as const),
      process: processIndex,
      partition: likelyPartition,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('decrypt' as const),
      process: processIndex,
      record: fc.nat({ max: 50 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('together' as const),
      calls: fc.array(call, { minLength: 2, maxLength: 8 }),
      downAfter: fc.option(fc.nat({ max: 6 }), { nil: undefined, freq: 3 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.oneof(
        fc.constantFrom(
          seconds,
          11 * seconds,
          59 * seconds,
          interval / 2,
          0.95 * interval,
          interval,
          2 * interval,
        ),
        fc.constantFrom((expireAfterSeconds * seconds) / 2, expireAfterSeconds * seconds),
        fc.nat({ max: 2 * interval }),
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('revoke' as const), row: fc.nat({ max: 20 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('restart' as const), process: processIndex, skewMs }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('outage' as const),
      backend: fc.constantFrom('metastore' as const, 'kms' as const),
      down: fc.boolean(),
    }),
  },
)

const suffixes = fc.constantFrom(['', '', '', ''], ['eu-west-1', 'us-east-1', 'eu-west-1', 'eu-west-1'])
const setting = fc
  .record({
    suffixes,
    skews: fc.array(skewMs, { minLength: 4, maxLength: 4 }),
    count: fc.integer({ min: 1, max: 4 }),
    later: fc.boolean(),
  })
  .map(({ suffixes, skews, count, later }) => ({
    later,
    processes: skews.slice(0, count).map((skewMs, index) => ({ skewMs, suffix: suffixes[index] ?? '' })),
  }))

/** Outages, revocations and failed checks are what most histories are about. */
before(() => setLogHook(() => undefined))
after(() => setLogHook(null))

describe('histories of several processes over one metastore', () => {
  test(`hold every promise after each step (${runs} histories)`, async () => {
    const histories = fc.asyncProperty(
      setting,
      fc.array(step, { maxLength: 60, size: 'max' }),
      async (given, steps) => {
        const history = new History(given)
        for (const next of steps) await history.run(next)
        await history.finish()
      },
    )
    await fc.assert(histories, { numRuns: runs, ...(seed !== undefined && { seed: Number(seed) }) })
  })

  test('reach what they are about', () => {
    for (const [what, times] of Object.entries(tally)) assert.ok(times > 0, what)
  })
})
