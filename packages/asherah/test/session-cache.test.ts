import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { AsherahError } from '../src/errors.ts'
import type { AsherahSession } from '../src/session.ts'
import { SessionCache } from '../src/session-cache.ts'
import { SessionFactory } from '../src/session-factory.ts'

function cacheOf(context: TestContext, maxSize: number, durationSeconds = 7200): SessionCache {
  const factory = new SessionFactory({
    serviceName: 'api',
    productId: 'catalog',
    metastore: 'memory',
    kms: 'static',
    staticMasterKeyHex: '5c'.repeat(32),
  })
  context.after(() => factory.close())
  return new SessionCache(factory, { maxSize, durationSeconds })
}

function isClosed(session: AsherahSession): boolean {
  try {
    session.encryptString('x')
    return false
  } catch (error) {
    assert.ok(error instanceof AsherahError && error.code === 'ERR_CLOSED')
    return true
  }
}

describe('the sessions of the module API', () => {
  test('are one a partition', (context) => {
    const cache = cacheOf(context, 10)
    const [a, b] = [cache.get('a'), cache.get('b')]
    assert.notEqual(a, b)
    assert.equal(cache.get('a'), a)
    assert.equal(cache.get('a'), a)
    assert.equal(cache.get('b'), b)
  })

  test('that are used stay, and those that are not make room', (context) => {
    const cache = cacheOf(context, 3)
    const [a, b, c] = [cache.get('a'), cache.get('b'), cache.get('c')]
    for (const other of ['d', 'e', 'f', 'g']) {
      assert.equal(cache.get('a'), a)
      assert.ok(!isClosed(cache.get(other)))
    }
    assert.deepEqual([a, b, c].map(isClosed), [false, true, true])
  })

  test('are as many as they may be, whatever is used, and never one that was just given', (context) => {
    for (const size of [1, 2, 40]) {
      const cache = cacheOf(context, size)
      const given = new Set<AsherahSession>()
      for (let turn = 0; turn < 400; turn++) {
        const session = cache.get(`p${(turn * turn) % 97}`)
        assert.ok(!isClosed(session), `${size}: ${turn}`)
        given.add(session)
        assert.equal(cache.get(`p${(turn * turn) % 97}`), session)
      }
      const open = [...given].filter((session) => !isClosed(session))
      assert.equal(
        open.length,
        Math.min(size, new Set(Array.from({ length: 97 }, (_, n) => (n * n) % 97)).size),
      )
      cache.close()
      assert.ok(open.every(isClosed))
    }
  })

  test('that are all used make room in a bounded time', (context) => {
    const cache = cacheOf(context, 100)
    const sessions = Array.from({ length: 100 }, (_, index) => cache.get(`p${index}`))
    for (const [index, session] of sessions.entries()) assert.equal(cache.get(`p${index}`), session)
    const another = cache.get('another')
    assert.ok(!isClosed(another))
    assert.equal(sessions.filter(isClosed).length, 1)
  })

  test('are made anew when their time is over, and the old one is closed', async (context) => {
    const cache = cacheOf(context, 10, 0.02)
    const first = cache.get('a')
    while (cache.get('a') === first) await new Promise((resolve) => setTimeout(resolve, 5))
    assert.ok(isClosed(first))
    assert.ok(!isClosed(cache.get('a')))
  })

  test('that cannot be made leave the others as they are', (context) => {
    const cache = cacheOf(context, 1)
    const a = cache.get('a')
    assert.throws(() => cache.get(''), { code: 'ERR_PARTITION_INVALID' })
    assert.equal(cache.get('a'), a)
    assert.ok(!isClosed(a))
  })
})
