import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { type LogEvent, type MetricEvent, set_log_hook, setLogHook, setMetricsHook } from '../../src/index.ts'
import { HookQueue } from '../../src/observability/hook-queue.ts'
import { World } from '../support/world.ts'

/** Events are delivered in a turn of their own, which a late timer may come before: so a timer, then a turn. */
const delivered = async (): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, 5))
  await new Promise((resolve) => setImmediate(resolve))
}

describe('the metrics hook', () => {
  test('gets calls, metastore times and look-ups, as contract section 6.5 names them', async () => {
    const events: MetricEvent[] = []
    const world = new World()
    const factory = world.factory()
    setMetricsHook((event) => events.push(event))
    const session = factory.getSession('p')
    const record = session.encryptString('x')
    session.decryptString(record)
    world.advance(61 * 60_000)
    session.encryptString('y')
    await session.decryptStringAsync(record)
    await delivered()
    setMetricsHook(null)
    const told = events.map((event) => ('name' in event ? `${event.type} ${event.name}` : event.type))
    assert.deepEqual(
      told.filter((event) => event.startsWith('cache')),
      ['cache_miss latest', 'cache_hit meta', 'cache_stale latest', 'cache_stale meta'],
    )
    assert.equal(told.filter((event) => event === 'encrypt').length, 2)
    assert.equal(told.filter((event) => event === 'decrypt').length, 2)
    assert.equal(told.filter((event) => event === 'store').length, 2)
    assert.ok(told.filter((event) => event === 'load').length >= 2)
    for (const event of events) {
      if ('durationNs' in event) assert.ok(Number.isInteger(event.durationNs) && event.durationNs > 0)
    }
  })

  test('times a call that fails too', async () => {
    const events: MetricEvent[] = []
    setMetricsHook((event) => events.push(event))
    assert.throws(() => new World().factory().getSession('p').decryptString('{}'))
    await delivered()
    setMetricsHook(null)
    assert.deepEqual(
      events.map((event) => event.type),
      ['decrypt'],
    )
  })
})

describe('a hook that misbehaves', () => {
  test('by throwing, replacing or removing itself harms nothing', async () => {
    const seen: string[] = []
    setLogHook(() => {
      throw new Error('hook')
    })
    const record = new World().factory().getSession('p').encryptString('x')
    assert.ok(record.length > 0)
    await delivered()
    setLogHook((event) => {
      seen.push(event.level)
      setLogHook(null)
    })
    new World().factory().getSession('p').encryptString('x')
    await delivered()
    assert.deepEqual(seen, ['info'])
  })

  test('by calling the library itself does not recurse', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    let calls = 0
    setMetricsHook(() => {
      calls += 1
      if (calls < 50) session.encryptString('from the hook')
    })
    session.encryptString('x')
    for (let turn = 0; turn < 60; turn++) await delivered()
    setMetricsHook(null)
    assert.ok(calls >= 50)
  })

  test('by being slow loses events beyond the queue, and counts them', () => {
    const queue = new HookQueue<number>('test')
    queue.set(() => undefined)
    for (let event = 0; event < 5000; event++) queue.emit(event)
    assert.equal(queue.dropped, 5000 - 4096)
    queue.set(undefined)
  })

  test('does not keep the process alive', () => {
    const index = new URL('../../src/index.ts', import.meta.url).href
    const program = `
      const { setLogHook, setMetricsHook, setup, encryptString } = await import(${JSON.stringify(index)})
      setLogHook(() => {}); setMetricsHook(() => {})
      setup({ serviceName: 's', productId: 'p', metastore: 'memory', kms: 'static' })
      encryptString('p', 'x')`
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      timeout: 20_000,
      encoding: 'utf8',
    })
    assert.equal(child.status, 0, child.stderr)
  })
})

describe('the log hook', () => {
  test('gets info and above, with verbose debug too; names no partition above debug', async () => {
    const events: LogEvent[] = []
    setLogHook((event) => events.push(event))
    const world = new World()
    world.factory().getSession('user-4711').encryptString('x')
    await delivered()
    setLogHook(null)
    assert.deepEqual(
      events.map((event) => event.level),
      ['info', 'info'],
    )
    for (const event of events) {
      assert.deepEqual(Object.keys(event).sort(), ['level', 'message', 'target'])
      assert.ok(!event.message.includes('4711'))
    }
  })

  test('with two parameters, set by the old name, gets the level as a number', async () => {
    const events: [number, string][] = []
    set_log_hook((level, message) => events.push([level, message]))
    new World().factory().getSession('p').encryptString('x')
    await delivered()
    set_log_hook(null)
    assert.deepEqual(
      events.map(([level]) => level),
      [1, 1],
    )
  })

  test('must be a function', () => {
    assert.throws(() => setLogHook('x' as never), { code: 'ERR_INVALID_ARG_TYPE', name: 'TypeError' })
    assert.throws(() => setMetricsHook(1 as never), TypeError)
  })
})
