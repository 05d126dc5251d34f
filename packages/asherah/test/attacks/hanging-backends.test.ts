import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type KeyManagementService, type Metastore, SessionFactory } from '../../src/index.ts'
import { codeOf, World } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-hang-'))
after(() => rmSync(folder, { recursive: true }))

const hour = 3_600_000

/** A world whose metastore or KMS can be made to accept calls and never answer them. */
function hangingWorld(): {
  world: World
  hang: { metastore: boolean; kms: boolean }
  metastore: Metastore
  kms: KeyManagementService
} {
  const world = new World()
  world.later = true
  const hang = { metastore: false, kms: false }
  const never = new Promise<never>(() => undefined)
  const { metastore, kms } = world
  return {
    world,
    hang,
    metastore: {
      load: (keyId, created) => (hang.metastore ? never : metastore.load(keyId, created)),
      loadLatest: (keyId) => (hang.metastore ? never : metastore.loadLatest(keyId)),
      store: (keyId, created, record) => (hang.metastore ? never : metastore.store(keyId, created, record)),
    },
    kms: {
      encryptKey: (key) => (hang.kms ? never : kms.encryptKey(key)),
      decryptKey: (key) => (hang.kms ? never : kms.decryptKey(key)),
    },
  }
}

describe('a call that the backend never answers', () => {
  test('fails alone: the same factory works again once the metastore answers', async () => {
    const { world, hang, metastore, kms } = hangingWorld()
    await using factory = world.factory({ metastore, kms, callTimeout: 100 })
    const session = factory.getSession('p')
    hang.metastore = true
    assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_TIMEOUT')
    hang.metastore = false
    assert.equal(await session.decryptStringAsync(await session.encryptStringAsync('x')), 'x')
  })

  test('fails alone: the same factory works again once the KMS answers', async () => {
    const { world, hang, metastore, kms } = hangingWorld()
    await using factory = world.factory({ metastore, kms, callTimeout: 100 })
    hang.kms = true
    assert.equal(await codeOf(() => factory.getSession('p').encryptStringAsync('x')), 'ERR_TIMEOUT')
    hang.kms = false
    await sleep(120)
    for (const partition of ['p', 'q']) {
      const session = factory.getSession(partition)
      assert.equal(await session.decryptStringAsync(await session.encryptStringAsync('x')), 'x')
    }
  })

  test('does not take away keys that are in memory: an overdue one serves on', async () => {
    const { world, hang, metastore, kms } = hangingWorld()
    await using factory = world.factory({ metastore, kms, callTimeout: 100 })
    const session = factory.getSession('p')
    const record = await session.encryptStringAsync('x')
    world.advance(3 * hour)
    hang.metastore = true
    assert.equal(await session.decryptStringAsync(record), 'x')
    assert.equal(await session.decryptStringAsync(await session.encryptStringAsync('y')), 'y')
    // The failed checks opened a back-off, so nobody waits now.
    const started = performance.now()
    assert.equal(await session.decryptStringAsync(record), 'x')
    assert.ok(performance.now() - started < 80)
  })

  test('while checking the parent does not take away the key either', async () => {
    const { world, hang, metastore, kms } = hangingWorld()
    const load = metastore.load
    const slow: Metastore = {
      ...metastore,
      loadLatest: async (id) => sleep(30).then(() => world.metastore.loadLatest(id)),
      load,
    }
    await using factory = world.factory({ metastore: slow, kms, callTimeout: 100 })
    const session = factory.getSession('p')
    await session.encryptStringAsync('x')
    world.advance(3 * hour)
    hang.metastore = true
    assert.ok(await session.encryptStringAsync('y'))
  })

  test('over the bridge does not take away an overdue key', () => {
    const path = join(folder, 'overdue.db')
    const url = new URL(`../support/slow-store.ts?path=${encodeURIComponent(path)}&delay=1`, import.meta.url)
      .href
    let ms = Date.UTC(2030, 0, 1)
    using factory = new SessionFactory({
      serviceName: 'api',
      productId: 'catalog',
      metastore: url,
      kms: 'static',
      staticMasterKeyHex: '5c'.repeat(32),
      callTimeout: 1500,
      clock: { now: () => ms, monotonic: () => ms },
    })
    const session = factory.getSession('p')
    const record = session.encryptString('x')
    ms += 3 * hour
    writeFileSync(`${path}.control`, 'hang')
    assert.equal(session.decryptString(record), 'x')
    assert.ok(session.encryptString('y'))
  })
})

describe('a check that takes its time to fail', () => {
  test('opens its back-off from when it failed', async () => {
    const world = new World()
    let slowFailure = false
    const metastore: Metastore = {
      ...world.metastore,
      load: (keyId, created) => {
        if (slowFailure) world.advance(15_000)
        return world.metastore.load(keyId, created)
      },
      loadLatest: (keyId) => {
        if (slowFailure) world.advance(15_000)
        return world.metastore.loadLatest(keyId)
      },
    }
    using factory = world.factory({ metastore })
    const session = factory.getSession('p')
    const record = session.encryptString('x')
    world.advance(3 * hour)
    world.metastoreDown = true
    slowFailure = true
    world.takeCalls()
    for (let call = 0; call < 5; call++) assert.equal(session.decryptString(record), 'x')
    for (let call = 0; call < 5; call++) assert.ok(session.encryptString('x'))
    assert.equal(world.takeCalls().length, 2)
  })
})

describe('a look-up that takes longer than twice the check interval', () => {
  for (const later of [false, true]) {
    test(`serves the call that waited for it, ${later ? 'asynchronous' : 'synchronous'}`, async () => {
      const world = new World()
      world.later = later
      const slow = <T>(call: () => T): T => {
        world.advance(3_000)
        return call()
      }
      const metastore: Metastore = {
        ...world.metastore,
        load: (keyId, created) => slow(() => world.metastore.load(keyId, created)),
        loadLatest: (keyId) => slow(() => world.metastore.loadLatest(keyId)),
      }
      using factory = world.factory({ metastore, checkInterval: 1 })
      const session = factory.getSession('p')
      const record = later ? await session.encryptStringAsync('x') : session.encryptString('x')
      using other = world.factory({ metastore, checkInterval: 1 })
      const reader = other.getSession('p')
      assert.equal(later ? await reader.decryptStringAsync(record) : reader.decryptString(record), 'x')
      assert.ok(later ? await reader.encryptStringAsync('y') : reader.encryptString('y'))
    })
  }
})
