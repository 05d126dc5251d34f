import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { mostUnderWay } from '../../src/engine/in-line-host.ts'
import type { EnvelopeKeyRecord } from '../../src/index.ts'
import { codeOf, World } from '../support/world.ts'

/** A world with stored keys whose look-ups for the latest one are counted while they are under way. */
function countingWorld(answers: () => Promise<void>): { world: World; most: () => number } {
  const world = new World()
  let underWay = 0
  let most = 0
  const { loadLatest } = world.metastore
  const counting = async (keyId: string): Promise<EnvelopeKeyRecord | undefined> => {
    underWay += 1
    most = Math.max(most, underWay)
    try {
      await answers()
      return await loadLatest(keyId)
    } finally {
      underWay -= 1
    }
  }
  Object.assign(world.metastore, { loadLatest: counting })
  return { world, most: () => most }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const partitions = Array.from({ length: mostUnderWay + 500 }, (_, index) => `p${index}`)

describe('questions that are asked at once', () => {
  test('are answered so many at a time, and all of them', async () => {
    const { world, most } = countingWorld(turn)
    const factory = world.factory()
    const records = await Promise.all(
      partitions.map((id) => factory.getSession(id).encryptStringAsync(`of ${id}`)),
    )
    assert.deepEqual(
      records.map((record) => world.readRecord(record)),
      partitions.map((id) => `of ${id}`),
    )
    assert.ok(most() <= mostUnderWay + 1, `${most()} look-ups at once`)
    await factory.closeAsync()
  })

  test('end with a time-out in the queue too, and nothing is asked for them afterwards', async () => {
    let answer = (): void => undefined
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    const { world } = countingWorld(() => answered)
    const factory = world.factory({ callTimeout: 100 })
    const codes = partitions.map((id) => codeOf(() => factory.getSession(id).encryptStringAsync('x')))
    // All deadlines are over before one of them is noticed.
    const end = performance.now() + 150
    while (performance.now() < end);
    assert.deepEqual(new Set(await Promise.all(codes)), new Set(['ERR_TIMEOUT']))
    answer()
    const record = await factory.getSession('another').encryptStringAsync('later')
    assert.equal(world.readRecord(record), 'later')
    // Of those that were queued none was looked up; those under way were, before they were given up.
    assert.equal(world.calls.filter((call) => /^latest _IK_p1[0-4]\d\d_/.test(call)).length, 0)
    await factory.closeAsync()
  })

  test('go on when those before them fail', async () => {
    let down = true
    const { world } = countingWorld(async () => {
      await turn()
      if (down) throw new Error('down')
    })
    const factory = world.factory()
    const first = partitions.map((id) => codeOf(() => factory.getSession(id).encryptStringAsync('x')))
    assert.deepEqual(new Set(await Promise.all(first)), new Set(['ERR_METASTORE']))
    down = false
    const codes = partitions.map((id) => codeOf(() => factory.getSession(id).encryptStringAsync('x')))
    assert.deepEqual(new Set(await Promise.all(codes)), new Set([undefined]))
    await factory.closeAsync()
  })
})
