import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { type AsherahConfig, type LogEvent, SessionFactory, setLogHook } from '../../src/index.ts'
import { codeOf, keyOf, World } from '../support/world.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-bridge-'))
after(() => rmSync(folder, { recursive: true }))

let stores = 0
function slowStore(delay = 5): { url: string; control: (what: string) => void } {
  stores += 1
  const path = join(folder, `${stores}.db`)
  const url = new URL(
    `../support/slow-store.ts?path=${encodeURIComponent(path)}&delay=${delay}`,
    import.meta.url,
  ).href
  return { url, control: (what) => writeFileSync(`${path}.control`, what) }
}

function factoryOver(url: string, more: Partial<AsherahConfig> = {}): SessionFactory {
  return new SessionFactory({
    serviceName: 'api',
    productId: 'catalog',
    metastore: url,
    kms: 'static',
    staticMasterKeyHex: '5c'.repeat(32),
    ...more,
  })
}

/** The bridge may have been the ended thread's own: then one call fails with `ERR_BRIDGE`, and the next starts another. */
function attempt<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_BRIDGE') throw error
    return call()
  }
}

describe('a synchronous call over an asynchronous store', () => {
  test('loads its key on the bridge, then hits', () => {
    using factory = factoryOver(slowStore().url)
    const session = factory.getSession('p')
    const record = session.encryptString('hello')
    assert.equal(session.decryptString(record), 'hello')
    assert.equal(factory.stats().misses, 1)
    assert.ok(factory.stats().lastGoodCheck instanceof Date)
  })

  test('reads what another factory wrote, and the other way round, asynchronously', async () => {
    const { url } = slowStore()
    using one = factoryOver(url)
    using other = factoryOver(url)
    const record = await one.getSession('p').encryptStringAsync('hello')
    assert.equal(other.getSession('p').decryptString(record), 'hello')
    const back = other.getSession('p').encryptString('back')
    assert.equal(await one.getSession('p').decryptStringAsync(back), 'back')
    assert.equal(keyOf(record), keyOf(back))
  })

  test('crosses with its own time, so an injected clock holds there too', () => {
    let ms = Date.UTC(2030, 0, 1)
    const clock = { now: () => ms, monotonic: () => ms }
    using factory = factoryOver(slowStore().url, { clock })
    const session = factory.getSession('p')
    assert.equal(keyOf(session.encryptString('x')), Date.UTC(2030, 0, 1) / 1000)
    ms += 91 * 86_400_000
    assert.equal(keyOf(session.encryptString('x')), Date.UTC(2030, 3, 2) / 1000)
  })

  test('gets the typed error of the engine, with its cause', async () => {
    const { url, control } = slowStore()
    using factory = factoryOver(url)
    control('throw')
    const session = factory.getSession('p')
    assert.throws(
      () => session.encryptString('x'),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_METASTORE')
        assert.match((error.cause as Error).message, /the test says/)
        return true
      },
    )
    assert.equal(await codeOf(() => session.decryptString('{}')), 'ERR_RECORD_MALFORMED')
    control('')
    assert.equal(session.decryptString(session.encryptString('x')), 'x')
  })

  test('ends after callTimeout when the store hangs, and works again when it answers', async () => {
    const { url, control } = slowStore()
    using factory = factoryOver(url, { callTimeout: 300 })
    const session = factory.getSession('p')
    control('hang')
    const started = performance.now()
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_TIMEOUT')
    assert.ok(performance.now() - started < 5000)
    assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_TIMEOUT')
    control('')
    using fresh = factoryOver(url)
    assert.equal(fresh.getSession('p').decryptString(fresh.getSession('p').encryptString('x')), 'x')
  })

  test('fails with a typed error when the bridge dies, and the next one starts another', async () => {
    const { url, control } = slowStore()
    using factory = factoryOver(url)
    const session = factory.getSession('p')
    control('exit')
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_BRIDGE')
    control('')
    assert.equal(session.decryptString(session.encryptString('x')), 'x')
  })

  test('outlives a thread that is ended while it starts the bridge', async () => {
    const { url } = slowStore(20)
    const index = new URL('../../src/index.ts', import.meta.url).href
    const config = {
      serviceName: 'api',
      productId: 'catalog',
      metastore: url,
      kms: 'static',
      staticMasterKeyHex: '5c'.repeat(32),
    }
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.index).then(({ SessionFactory }) => {
        const session = new SessionFactory(workerData.config).getSession('p')
        parentPort.postMessage('asks')
        session.encryptString('x')
      })`
    for (const afterMs of [0, 5, 10, 20]) {
      const worker = new Worker(code, { eval: true, workerData: { index, config } })
      await new Promise((resolve) => worker.once('message', resolve))
      await new Promise((resolve) => setTimeout(resolve, afterMs))
      await worker.terminate()
      using factory = factoryOver(url, { callTimeout: 10_000 })
      const session = factory.getSession(`p${afterMs}`)
      const sealed = attempt(() => session.encryptString('y'))
      assert.equal(session.decryptString(sealed), 'y')
    }
  })

  test('serves several threads of the process by one thread', async () => {
    const { url } = slowStore()
    using factory = factoryOver(url)
    const record = factory.getSession('p').encryptString('from the main thread')
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      import(workerData.index).then(({ SessionFactory }) => {
        const factory = new SessionFactory(workerData.config)
        const session = factory.getSession('p')
        parentPort.postMessage({ text: session.decryptString(workerData.record), record: session.encryptString('from a worker') })
        factory.close()
      })`
    const config = {
      serviceName: 'api',
      productId: 'catalog',
      metastore: url,
      kms: 'static',
      staticMasterKeyHex: '5c'.repeat(32),
    }
    const index = new URL('../../src/index.ts', import.meta.url).href
    const answers = await Promise.all(
      [1, 2, 3].map(
        () =>
          new Promise<{ text: string; record: string }>((resolve, reject) => {
            const worker = new Worker(code, { eval: true, workerData: { index, config, record } })
            worker.once('message', resolve)
            worker.once('error', reject)
          }),
      ),
    )
    for (const answer of answers) {
      assert.equal(answer.text, 'from the main thread')
      assert.equal(factory.getSession('p').decryptString(answer.record), 'from a worker')
    }
  })

  test('brings the log of the bridge to the hook of the asker', async () => {
    const events: LogEvent[] = []
    setLogHook((event) => events.push(event))
    using factory = factoryOver(slowStore().url)
    factory.getSession('p').encryptString('x')
    await new Promise((resolve) => setTimeout(resolve, 20))
    setLogHook(null)
    assert.ok(
      events.some((event) => event.message === 'a new intermediate key was made'),
      JSON.stringify(events),
    )
  })

  test('does not keep the process alive', () => {
    const program = `
      import { SessionFactory } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
      const factory = new SessionFactory(${JSON.stringify({
        serviceName: 'api',
        productId: 'catalog',
        metastore: slowStore().url,
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
      })})
      process.stdout.write(factory.getSession('p').decryptString(factory.getSession('p').encryptString('done')))`
    const file = join(folder, 'program.mts')
    writeFileSync(file, program)
    const child = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 })
    assert.deepEqual([child.status, child.stdout, child.stderr], [0, 'done', ''])
  })
})

describe('a backend out of the reach of the bridge', () => {
  test('is an error that names the ways out; each of them works', async () => {
    const world = new World()
    world.later = true
    const factory = world.factory()
    const session = factory.getSession('p')
    assert.throws(
      () => session.encryptString('x'),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'ERR_WOULD_BLOCK')
        assert.match(error.message, /metastore object.*Async.*warm.*URL/s)
        return true
      },
    )
    const record = await session.encryptStringAsync('x')
    await factory.warm(['q'])
    assert.equal(session.decryptString(record), 'x')
    assert.equal(factory.getSession('q').decryptString(factory.getSession('q').encryptString('y')), 'y')
  })

  test('the run that met a promise is handed over, not done twice or dropped', async () => {
    const world = new World()
    world.later = true
    const session = world.factory().getSession('p')
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_WOULD_BLOCK')
    while (world.rows.size < 2) await new Promise((resolve) => setTimeout(resolve, 1))
    await new Promise((resolve) => setTimeout(resolve, 5))
    assert.equal(session.decryptString(session.encryptString('x')), 'x')
    assert.equal(world.calls.filter((call) => call.startsWith('store')).length, 2)
  })

  test('an overdue key is used, and the check is started', async () => {
    const world = new World()
    world.later = true
    const session = world.factory().getSession('p')
    const record = await session.encryptStringAsync('x')
    world.advance(3 * 3_600_000)
    world.takeCalls()
    assert.equal(keyOf(session.encryptString('x')), keyOf(record))
    assert.equal(session.decryptString(record), 'x')
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.ok(world.takeCalls().includes('latest _IK_p'))
  })
})

test('a module that makes no metastore is a clear error', async () => {
  const file = join(folder, 'nothing.mjs')
  writeFileSync(file, 'export const something = 1\n')
  using factory = factoryOver(pathToFileURL(file).href)
  const session = factory.getSession('p')
  assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_CONFIG_INVALID')
  assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_CONFIG_INVALID')
})
