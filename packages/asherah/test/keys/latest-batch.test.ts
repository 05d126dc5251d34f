import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AsherahError, type EnvelopeKeyRecord } from '../../src/index.ts'
import { codeOf, ik, World } from '../support/world.ts'

/** A world whose metastore answers for many ids at once, and counts how it was asked. */
function batchingWorld(): { world: World; batches: number[]; singles: () => number } {
  const world = new World()
  world.later = true
  const batches: number[] = []
  const many = async (keyIds: readonly string[]): Promise<ReadonlyMap<string, EnvelopeKeyRecord>> => {
    batches.push(keyIds.length)
    const rows = await Promise.all(keyIds.map(async (keyId) => [keyId, world.latestOf(keyId)] as const))
    return new Map(rows.filter((row): row is readonly [string, EnvelopeKeyRecord] => row[1] !== undefined))
  }
  Object.assign(world.metastore, { loadLatestMany: many })
  return { world, batches, singles: () => world.calls.filter((call) => call.startsWith('latest')).length }
}

describe('a metastore that can load many', () => {
  test('is asked in batches of 500 by partitions that are cold at once', async () => {
    const { world, batches, singles } = batchingWorld()
    const partitions = Array.from({ length: 1200 }, (_, index) => `p${index}`)
    await world.factory().warm(partitions)
    assert.deepEqual(batches.slice(0, 2), [500, 500])
    // The system key is looked for by the first partitions: beside the last of the others, or alone.
    assert.equal((batches[2] ?? 0) + singles(), 201)
    assert.equal(world.rows.size, 1201)
    const factory = world.factory()
    batches.length = 0
    await Promise.all(partitions.map((partition) => factory.getSession(partition).encryptStringAsync('x')))
    // The first look-up showed that this store answers later; from then on they were gathered. The 1,001st and later ones
    // wait until others were answered.
    assert.deepEqual(batches, [500, 499, 200])
    assert.equal(world.rows.size, 1201)
  })

  test('is asked for one by loadLatest', async () => {
    const { world, batches, singles } = batchingWorld()
    await world.factory().getSession('p').encryptStringAsync('x')
    assert.deepEqual([batches, singles()], [[], 2])
  })

  test('that fails fails all that asked; a damaged row fails only its own partition', async () => {
    const { world } = batchingWorld()
    const { loadLatestMany } = world.metastore
    Object.assign(world.metastore, { loadLatestMany: async () => Promise.reject(new Error('down')) })
    const factory = world.factory()
    const codes = await Promise.all(
      ['a', 'b'].map((id) => codeOf(() => factory.getSession(id).encryptStringAsync('x'))),
    )
    assert.deepEqual(codes, ['ERR_METASTORE', 'ERR_METASTORE'])

    await world
      .factory({ metastore: { ...world.metastore, loadLatestMany: loadLatestMany as never } })
      .warm(['a', 'b'])
    const malformed = (): Promise<never> =>
      Promise.reject(new AsherahError('ERR_METASTORE_ROW_MALFORMED', 'the row of a is damaged'))
    const damaged = {
      ...world.metastore,
      loadLatest: (keyId: string) => (keyId === ik('a') ? malformed() : world.metastore.loadLatest(keyId)),
      loadLatestMany: malformed,
    }
    const second = world.factory({ metastore: damaged })
    const [one, other] = await Promise.all(
      ['a', 'b'].map((id) => codeOf(() => second.getSession(id).encryptStringAsync('x'))),
    )
    assert.deepEqual([one, other], ['ERR_METASTORE_ROW_MALFORMED', undefined])
  })
})
