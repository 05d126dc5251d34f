import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AsherahError, type Metastore } from '../src/index.ts'
import { codeOf, World } from './support/world.ts'

describe('close', () => {
  test('of a session: later calls are refused, the factory and other sessions go on', async () => {
    const factory = new World().factory()
    const [session, other] = [factory.getSession('p'), factory.getSession('p')]
    const record = session.encryptString('x')
    session.close()
    session.close()
    for (const call of [
      (): unknown => session.encrypt(Buffer.from('x')),
      (): unknown => session.decryptString(record),
      (): unknown => session.encryptStringAsync('x'),
      (): unknown => session.decryptAsync(record),
    ]) {
      assert.equal(await codeOf(call), 'ERR_CLOSED')
    }
    assert.equal(other.decryptString(record), 'x')
  })

  test('of a factory: later calls of it and its sessions are refused', async () => {
    const factory = new World().factory()
    const session = factory.getSession('p')
    const record = session.encryptString('x')
    factory.close()
    factory.close()
    await factory.closeAsync()
    for (const call of [
      (): unknown => factory.getSession('p'),
      (): unknown => factory.warm(['p']),
      (): unknown => factory.stats(),
      (): unknown => session.encryptString('x'),
      (): unknown => session.decryptStringAsync(record),
    ]) {
      assert.equal(await codeOf(call), 'ERR_CLOSED')
    }
    session.close()
  })

  test('lets accepted calls finish, and closeAsync waits for them', async () => {
    const world = new World()
    world.later = true
    const factory = world.factory()
    const session = factory.getSession('p')
    const cold = [
      session.encryptStringAsync('cold'),
      session.encryptAsync(new Uint8Array(2_000_000)),
      factory.warm(['q']),
    ]
    let settled = 0
    for (const call of cold) {
      call.then(() => {
        settled += 1
      }, assert.fail)
    }
    session.close()
    const closing = factory.closeAsync()
    assert.equal(await codeOf(() => session.encryptStringAsync('late')), 'ERR_CLOSED')
    await closing
    assert.equal(settled, 3)
    assert.equal(world.rows.size, 3)
  })

  test('closes the metastore and KMS once, after the last call', async () => {
    const world = new World()
    world.later = true
    const ended: string[] = []
    const metastore: Metastore = {
      ...world.metastore,
      close: async () => {
        ended.push('metastore')
      },
    }
    const kms = { ...world.kms, close: () => void ended.push('kms') }
    const factory = world.factory({ metastore, kms })
    const call = factory
      .getSession('p')
      .encryptStringAsync('x')
      .then(() => ended.push('call'))
    factory.close()
    await factory.closeAsync()
    await call
    assert.deepEqual(ended, ['call', 'metastore', 'kms'])
  })

  test('by `using` and `await using`', async () => {
    const world = new World()
    let session: ReturnType<ReturnType<World['factory']>['getSession']>
    {
      await using factory = world.factory()
      {
        using inner = factory.getSession('p')
        session = inner
        inner.encryptString('x')
      }
      assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_CLOSED')
    }
    assert.ok(session)
  })
})

describe('stats', () => {
  test('counts look-ups and shows the ring, the locked memory and the last check', () => {
    const world = new World()
    const factory = world.factory({ ringSize: 1000 })
    assert.equal(factory.stats().lastGoodCheck, undefined)
    const session = factory.getSession('p')
    const record = session.encryptString('x')
    for (let call = 0; call < 9; call++) session.decryptString(record)
    const stats = factory.stats()
    assert.equal(stats.ringKeys, 1)
    assert.equal(stats.ringSize, 1000)
    assert.equal(stats.misses, 1)
    assert.ok(stats.hits >= 10)
    assert.ok(stats.lockedBytes > 0)
    assert.equal(stats.unlockedBytes, 0)
    assert.equal(stats.lastGoodCheck?.getTime(), world.clock.wallMs)
  })
})

describe('a ring that is too small', () => {
  test('evicts and loads again, and every record stays readable', async () => {
    const world = new World()
    const factory = world.factory({ ringSize: 16 })
    const sessions = Array.from({ length: 100 }, (_, index) => factory.getSession(`p${index}`))
    const records = sessions.map((session, index) => session.encryptString(`secret ${index}`))
    for (let round = 0; round < 3; round++) {
      sessions.forEach((session, index) => {
        assert.equal(session.decryptString(records[index] ?? ''), `secret ${index}`)
      })
    }
    const later = await Promise.all(
      sessions.map((session, index) => session.decryptStringAsync(records[index] ?? '')),
    )
    assert.deepEqual(
      later,
      records.map((_, index) => `secret ${index}`),
    )
    assert.ok(factory.stats().evictions > 100)
    assert.ok(factory.stats().ringKeys <= 16)
  })
})

test('sessions that are dropped without close give their place back', { timeout: 30_000 }, async () => {
  const factory = new World().factory()
  for (let round = 0; round < 20; round++) {
    for (let index = 0; index < 5000; index++) factory.getSession(`p${index % 7}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const session = factory.getSession('p')
  assert.equal(session.decryptString(session.encryptString('x')), 'x')
})

test('every error is an AsherahError with its name and code', () => {
  const factory = new World().factory()
  assert.throws(
    () => factory.getSession(''),
    (error: unknown) => {
      assert.ok(error instanceof AsherahError && error instanceof Error)
      assert.equal(error.name, 'AsherahError')
      assert.equal(error.code, 'ERR_PARTITION_INVALID')
      return true
    },
  )
})

test('a long awaited loop of hits lets timers run', async () => {
  const session = new World().factory().getSession('p')
  await session.encryptStringAsync('warm')
  let turns = 0
  const timer = setInterval(() => {
    turns += 1
  }, 5)
  const end = performance.now() + 300
  while (performance.now() < end) await session.encryptStringAsync('x')
  clearInterval(timer)
  assert.ok(turns >= 2, String(turns))
})
