import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setLogHook } from '../../src/index.ts'
import { codeOf, ik, keyOf, minute, sk, World } from '../support/world.ts'

const interval = 60 * minute

before(() => setLogHook(() => undefined))
after(() => setLogHook(null))

describe('what happens during a look-up', () => {
  test('a key is dated by the time before it: one that another process makes meanwhile is adopted', () => {
    const world = new World(Date.UTC(2026, 5, 1, 12, 0, 59))
    const other = world.factory().getSession('p')
    let theirs = ''
    world.afterAnswer = (call) => {
      assert.equal(call, `latest ${ik('p')}`)
      world.afterAnswer = undefined
      theirs = other.encryptString('x')
      world.advance(minute)
    }
    const ours = world.factory().getSession('p').encryptString('x')
    assert.equal(keyOf(ours), keyOf(theirs))
    assert.equal(world.generations(ik('p')).length, 1)
  })

  test('a store whose answers contradict each other is given up after five attempts', async () => {
    const world = new World()
    world.later = true
    await world.factory().getSession('q').encryptStringAsync('makes the system key')
    let stores = 0
    const { load, loadLatest } = world.metastore
    const metastore = {
      load,
      loadLatest,
      store: () => {
        stores += 1
        if (stores > 20) throw new Error('asked too often')
        return false
      },
    }
    const session = world.factory({ metastore }).getSession('p')
    assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_KEY_CONTENTION')
    assert.equal(stores, 5)
  })
})

describe('a newer key that cannot be opened, because the KMS is down', () => {
  for (const revoked of ['intermediate', 'system', 'none'] as const)
    test(`${revoked === 'none' ? 'the one in memory serves on' : `does not prolong the life of a revoked ${revoked} key`}`, async () => {
      const world = new World()
      const session = world.factory().getSession('p')
      const old = keyOf(session.encryptString('x'))
      world.advance(5 * minute)
      // Another process makes newer keys under a system key that this one never saw.
      world.revoke(sk, old)
      if (revoked === 'intermediate') world.revoke(ik('p'), old)
      assert.ok(keyOf(world.factory().getSession('p').encryptString('x')) > old)
      if (revoked !== 'system') unrevoke(world, sk, old)
      world.kmsDown = true
      world.advance(2 * interval)
      const code = await codeOf(() => session.encryptString('x'))
      assert.equal(code, revoked === 'none' ? undefined : 'ERR_KMS')
      world.kmsDown = false
      world.advance(11_000)
      assert.ok(keyOf(session.encryptString('x')) > old)
    })
})

function unrevoke(world: World, keyId: string, created: number): void {
  const { revoked: _, ...row } = world.rows.get(keyId)?.get(created) ?? assert.fail('no such row')
  world.rows.get(keyId)?.set(created, row)
}
