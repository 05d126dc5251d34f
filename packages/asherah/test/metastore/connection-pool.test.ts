import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConnectionPool } from '../../src/metastore/sql/connection-pool.ts'
import type { SqlConnection } from '../../src/metastore/sql/sql-connection.ts'

const unlimited = { maxOpen: 0, maxIdle: 2, maxLifetimeSeconds: 0, maxIdleTimeSeconds: 0 }

class Line implements SqlConnection {
  usable = true
  ended = false
  alive = true
  broken: () => void = () => {}

  async query() {
    return { rows: [], affected: 0 }
  }
  onBroken(listener: () => void): void {
    this.broken = listener
  }
  async end(): Promise<void> {
    this.usable = false
    this.ended = true
  }
  destroy(): void {
    this.usable = false
  }
  keepsAlive(value: boolean): void {
    this.alive = value
  }
}

/** What a server says that has no connection left. */
class ServerFull extends Error {}

function makePool(limits: Partial<typeof unlimited> = {}, waitMs = 1000) {
  const lines: Line[] = []
  const failures: Error[] = []
  const server = { room: Number.POSITIVE_INFINITY, asked: 0 }
  const pool = new ConnectionPool(
    async () => {
      server.asked += 1
      await sleep(1)
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      if (open() >= server.room) throw new ServerFull('too many clients')
      const line = new Line()
      lines.push(line)
      return line
    },
    { ...unlimited, ...limits },
    waitMs,
    (error) => error instanceof ServerFull,
  )
  const open = () => lines.filter(({ ended }) => !ended).length
  return { pool, lines, failures, open, server }
}

test('no limit opens a connection for every call at once, and keeps two', async () => {
  const { pool, lines, open } = makePool()
  const leases = await Promise.all(Array.from({ length: 100 }, () => pool.acquire(false)))
  assert.equal(lines.length, 100)
  assert.equal(pool.size, 100)
  assert.ok(leases.every(({ reused }) => !reused))
  for (const lease of leases) lease.release()
  assert.deepEqual([pool.size, pool.idle, open()], [2, 2, 2])
  assert.equal(lines.filter(({ alive, ended }) => !ended && alive).length, 0)
  const again = await pool.acquire(false)
  assert.equal(again.reused, true)
  assert.equal((again.connection as Line).alive, true)
})

test('a limit is never passed, and whoever waits longest is served first', async () => {
  const { pool, lines } = makePool({ maxOpen: 3 })
  const order: number[] = []
  await Promise.all(
    Array.from({ length: 30 }, async (_, index) => {
      const lease = await pool.acquire(false)
      order.push(index)
      await sleep(1)
      lease.release()
    }),
  )
  assert.equal(lines.length, 3)
  assert.deepEqual(
    order,
    Array.from({ length: 30 }, (_, index) => index),
  )
})

test('a wait for a free connection ends with ERR_TIMEOUT, and takes nothing along', async () => {
  const { pool } = makePool({ maxOpen: 1 }, 30)
  const lease = await pool.acquire(false)
  await assert.rejects(pool.acquire(false), { code: 'ERR_TIMEOUT', message: /None of the 1 connections/ })
  lease.release()
  const next = await pool.acquire(false)
  assert.equal(next.reused, true)
  next.release()
  assert.equal(pool.size, 1)
})

test('a connection that fails to open makes room for the next in line', async () => {
  const { pool, failures, lines } = makePool({ maxOpen: 1 })
  failures.push(new Error('first'), new Error('second'))
  const outcomes = await Promise.allSettled([
    pool.acquire(false),
    pool.acquire(false),
    pool.acquire(false),
    pool.acquire(false).then(({ release }) => release()),
  ])
  // The third holds its connection, so the fourth waits in vain.
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled', 'rejected'],
  )
  assert.equal(lines.length, 1)
  assert.equal(pool.size, 1)
})

test('what is not usable is not kept, and its place is free', async () => {
  const { pool, lines } = makePool({ maxOpen: 1 })
  const first = await pool.acquire(false)
  const waiting = pool.acquire(false)
  first.connection.destroy()
  first.release()
  const second = await waiting
  assert.equal(second.reused, false)
  assert.equal(lines.length, 2)
  assert.equal(lines[0]?.ended, true)
  second.release()
  assert.deepEqual([pool.size, pool.idle], [1, 1])
})

test('an idle connection that breaks is forgotten at once', async () => {
  const { pool, lines } = makePool()
  const lease = await pool.acquire(false)
  lease.release()
  const [line] = lines
  assert.ok(line !== undefined)
  line.usable = false
  line.broken()
  assert.deepEqual([pool.size, pool.idle], [0, 0])
  line.broken()
  assert.equal(pool.size, 0)
})

test('a fresh connection is a new one, also where an idle one fills the limit', async () => {
  const { pool, lines } = makePool({ maxOpen: 1 })
  const first = await pool.acquire(false)
  first.release()
  const fresh = await pool.acquire(true)
  assert.equal(fresh.reused, false)
  assert.equal(lines.length, 2)
  assert.equal(lines[0]?.ended, true)
  assert.equal(pool.size, 1)
})

test('idle time and lifetime end connections, and no earlier', async () => {
  for (const limits of [{ maxIdleTimeSeconds: 1 }, { maxLifetimeSeconds: 1 }]) {
    const { pool, lines } = makePool(limits)
    const lease = await pool.acquire(false)
    lease.release()
    await sleep(600)
    assert.equal(pool.idle, 1)
    const reused = await pool.acquire(false)
    assert.equal(reused.reused, true)
    reused.release()
    await sleep(1700)
    assert.deepEqual([pool.size, pool.idle, lines[0]?.ended], [0, 0, true])
  }
})

test('a lifetime that is over in use ends the connection when it is given back', async () => {
  const { pool, lines } = makePool({ maxLifetimeSeconds: 1 })
  const lease = await pool.acquire(false)
  await sleep(1100)
  assert.equal(lines[0]?.ended, false)
  lease.release()
  assert.deepEqual([pool.size, lines[0]?.ended], [0, true])
})

test('times longer than a timer can be do not end a connection at once', async () => {
  const { pool } = makePool({ maxIdleTimeSeconds: 3_155_760_000, maxLifetimeSeconds: 3_155_760_000 })
  const lease = await pool.acquire(false)
  lease.release()
  await sleep(20)
  assert.equal(pool.idle, 1)
  await pool.close()
})

test('no idle connection is kept where none may be', async () => {
  const { pool, lines } = makePool({ maxIdle: 0 })
  const lease = await pool.acquire(false)
  lease.release()
  assert.deepEqual([pool.size, lines[0]?.ended], [0, true])
})

test('close ends idle connections, and those in use when they are given back', async () => {
  const { pool, open } = makePool()
  const [held, idle] = await Promise.all([pool.acquire(false), pool.acquire(false)])
  idle.release()
  await pool.close()
  assert.deepEqual([pool.size, open()], [1, 1])
  held.release()
  assert.deepEqual([pool.size, open()], [0, 0])
})

test('close waits for the connections that are on their way in or out', async () => {
  const { pool, lines, open } = makePool({ maxIdle: 0, maxOpen: 1 }, 5)
  const lease = await pool.acquire(false)
  const [line] = lines
  assert.ok(line !== undefined)
  let left = false
  line.end = async () => {
    await sleep(20)
    left = true
    line.ended = true
  }
  lease.release()
  // The place is free as soon as the connection is given up, so that another one is on its way in meanwhile.
  const late = pool.acquire(false)
  await pool.close()
  assert.deepEqual([left, lines.length, open()], [true, 2, 1])
  ;(await late).release()
  await pool.close()
  assert.deepEqual([pool.size, open()], [0, 0])
})

describe('a server that has no connection left', () => {
  test('serves every call on those that it gave, and is not asked again at once', async () => {
    const { pool, server } = makePool({}, 10_000)
    server.room = 7
    let inUse = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 500 }, async () => {
        const lease = await pool.acquire(false)
        inUse += 1
        most = Math.max(most, inUse)
        await sleep(1)
        inUse -= 1
        lease.release()
      }),
    )
    assert.equal(most, 7)
    assert.ok(server.asked < 100, `${server.asked}`)
    assert.deepEqual([pool.size, pool.idle], [2, 2])
    const leases = await Promise.all(Array.from({ length: 7 }, () => pool.acquire(false)))
    const eighth = pool.acquire(false)
    leases[0]?.release()
    assert.equal((await eighth).reused, true)
  })

  test('is asked again after a while, and its room is used', async () => {
    const { pool, server } = makePool({}, 10_000)
    server.room = 1
    const first = await pool.acquire(false)
    const waiting = [pool.acquire(false), pool.acquire(false), pool.acquire(false)]
    await sleep(600)
    assert.equal(pool.size, 1)
    server.room = 10
    first.release()
    for (const lease of await Promise.all(waiting)) lease.release()
    assert.ok(pool.size > 1)
  })

  test('is an error for a call when none of them is ours', async () => {
    const { pool, server } = makePool()
    server.room = 0
    const outcomes = await Promise.allSettled(Array.from({ length: 50 }, () => pool.acquire(false)))
    for (const outcome of outcomes) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof ServerFull)
    }
    assert.equal(pool.size, 0)
    server.room = 1
    const lease = await pool.acquire(false)
    lease.release()
  })

  test('and whose only connection of ours is lost leaves nobody waiting', async () => {
    const { pool, server } = makePool()
    server.room = 1
    const lease = await pool.acquire(false)
    const waiting = Promise.allSettled([pool.acquire(false), pool.acquire(false)])
    await sleep(20)
    server.room = 0
    lease.connection.destroy()
    lease.release()
    for (const outcome of await waiting) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof ServerFull)
    }
    assert.equal(pool.size, 0)
  })

  test('ends a wait with ERR_TIMEOUT, which says whose limit it is; what comes later is kept', async () => {
    const { pool, server } = makePool({ maxOpen: 5 }, 50)
    server.room = 1
    const lease = await pool.acquire(false)
    await assert.rejects(pool.acquire(false), {
      code: 'ERR_TIMEOUT',
      message: /server had no connection left, and none of the 1 of this process/,
    })
    lease.release()
    assert.deepEqual([pool.size, pool.idle], [1, 1])
  })

  test('gives a call that wanted a fresh connection an open one', async () => {
    const { pool, server } = makePool()
    server.room = 2
    const [held, other] = await Promise.all([pool.acquire(false), pool.acquire(false)])
    const fresh = pool.acquire(true)
    await sleep(20)
    other.release()
    assert.equal((await fresh).connection, other.connection)
    held.release()
  })

  test('while a connection of ours is idle again has the call served with it', async () => {
    const { pool, server } = makePool()
    server.room = 1
    const lease = await pool.acquire(false)
    const waiting = pool.acquire(false)
    lease.release()
    assert.equal((await waiting).connection, lease.connection)
  })
})

test('a call whose time is over while a connection is made for it leaves the others in line', async () => {
  const { pool } = makePool({ maxOpen: 1 }, 1000)
  const first = await pool.acquire(false)
  const timedOut = assert.rejects(pool.acquire(false), { code: 'ERR_TIMEOUT' })
  await sleep(999)
  const later = pool.acquire(false)
  // Now the first in line has a connection on its way, and its time ends before it comes.
  first.connection.destroy()
  first.release()
  const until = performance.now() + 1
  while (performance.now() < until);
  await timedOut
  const lease = await later
  lease.release()
  assert.deepEqual([pool.size, pool.idle], [1, 1])
})
