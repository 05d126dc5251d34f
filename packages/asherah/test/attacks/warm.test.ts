import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Metastore } from '../../src/index.ts'
import { codeOf, World } from '../support/world.ts'

test('one text is not taken for the ids of its letters', async () => {
  const world = new World()
  using factory = world.factory()
  for (const wrong of ['tenant', undefined, null, 7, {}]) {
    assert.equal(await codeOf(() => factory.warm(wrong as Iterable<string>)), 'ERR_INVALID_ARG_TYPE')
  }
  assert.equal(world.rows.size, 0)
})

test('of more partitions than fit into one callTimeout is no timeout, as long as each is answered', async () => {
  const world = new World()
  // A connection pool of one that takes a sixth of a millisecond a call.
  let queue: Promise<unknown> = Promise.resolve()
  let calls = 0
  const oneByOne = <T>(call: () => T): Promise<T> => {
    const done = queue.then(async () => {
      calls += 1
      if (calls % 60 === 0) await sleep(10)
      return call()
    })
    queue = done.catch(() => undefined)
    return done
  }
  const metastore: Metastore = {
    load: (keyId, created) => oneByOne(() => world.rows.get(keyId)?.get(created)),
    loadLatest: (keyId) => oneByOne(() => world.latestOf(keyId)),
    store: (keyId, _created, record) => oneByOne(() => world.insert(keyId, record)),
  }
  using factory = world.factory({ metastore, callTimeout: 1500 })
  await factory.warm(Array.from({ length: 6000 }, (_, index) => `p${index}`))
  assert.equal(world.rows.size, 6001)
})
