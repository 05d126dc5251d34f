import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type AsherahConfig, type KeyManagementService, SessionFactory } from '../../src/index.ts'
import { isPromiseLike } from '../../src/maybe-promise.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'
import { codeOf } from '../support/world.ts'
import { sampleRecord } from './contract.ts'
import { temporaryDirectory } from './sqlite-file.ts'

const locker = fileURLToPath(new URL('sqlite-locker.ts', import.meta.url))

/** A factory over a new file, whose system key is there. */
async function factoryOn(context: TestContext, more: Partial<AsherahConfig> = {}) {
  const path = join(temporaryDirectory(context), 'keys.db')
  const factory = new SessionFactory({
    ...{ serviceName: 'api', productId: 'catalog', metastore: 'sqlite', connectionString: path },
    ...{ kms: 'static', staticMasterKeyHex: '2a'.repeat(32), ...more },
  } as AsherahConfig)
  context.after(() => factory.close())
  await factory.warm(['tenant-0'])
  return { path, factory }
}

/** Has another process hold the write lock for so long from now on. */
async function lockElsewhere(context: TestContext, path: string, ms: number): Promise<void> {
  const child = spawn(process.execPath, [locker, path, String(ms)], { stdio: ['ignore', 'pipe', 'inherit'] })
  context.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
}

/** The turns that a timer of 10 ms got while something was waited for, and how long that took. */
async function ticking<T>(waiting: () => Promise<T>): Promise<{ ticks: number; ms: number; value: T }> {
  let ticks = 0
  const timer = setInterval(() => {
    ticks += 1
  }, 10)
  const start = performance.now()
  try {
    const value = await waiting()
    return { ticks, ms: performance.now() - start, value }
  } finally {
    clearInterval(timer)
  }
}

/** In plain Node, as a user may write it: nothing that another thread could make again. */
function ownKms(): KeyManagementService {
  const master = randomBytes(32)
  return {
    encryptKey: (key) => {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', master, nonce)
      return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()])
    },
    decryptKey: (sealed) => {
      const opener = createDecipheriv('aes-256-gcm', master, sealed.subarray(0, 12))
      opener.setAuthTag(sealed.subarray(-16))
      return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()])
    },
  }
}

test('an asynchronous call waits for another process to let go of the lock while the event loop goes on', async (context) => {
  const { path, factory } = await factoryOn(context)
  await lockElsewhere(context, path, 2000)
  const { ticks, ms, value } = await ticking(() =>
    factory.getSession('tenant-1').encryptStringAsync('secret'),
  )
  assert.ok(ms > 1000, `${ms} ms`)
  // 200 on a machine that does nothing else; a call that blocks leaves none.
  assert.ok(ticks > 30, `${ticks} ticks in ${ms} ms`)
  assert.equal(factory.getSession('tenant-1').decryptString(value), 'secret')
})

test('a thousand calls that wait for the lock at once leave the event loop its turns, and all succeed', async (context) => {
  const { path, factory } = await factoryOn(context)
  await lockElsewhere(context, path, 1500)
  const partitions = Array.from({ length: 1000 }, (_, index) => `tenant-${index}`)
  const { ticks } = await ticking(() => factory.warm(partitions))
  assert.ok(ticks > 30, `${ticks} ticks`)
  const database = new DatabaseSync(path)
  context.after(() => database.close())
  const { count } = database.prepare('SELECT count(*) AS count FROM encryption_key').get() ?? {}
  assert.equal(count, 1 + partitions.length)
})

for (const { name, kms } of [
  { name: 'a static key', kms: {} },
  { name: "a KMS of the user's own, out of reach of other threads", kms: { kms: ownKms() } },
]) {
  test(`a synchronous call waits too, beside asynchronous ones that wait for the same key, with ${name}`, async (context) => {
    const { path, factory } = await factoryOn(context, kms)
    await lockElsewhere(context, path, 1000)
    const session = factory.getSession('tenant-1')
    const later = session.encryptStringAsync('later')
    const now = session.encryptString('now')
    assert.equal(session.decryptString(now), 'now')
    assert.equal(session.decryptString(await later), 'later')
    const database = new DatabaseSync(path)
    context.after(() => database.close())
    // Nobody's key was lost or made twice in one minute.
    const rows = database
      .prepare("SELECT id FROM encryption_key WHERE id LIKE '\\_IK\\_tenant-1\\_%' ESCAPE '\\'")
      .all()
    assert.ok(rows.length === 1 || rows.length === 2, `${rows.length} rows`)
  })
}

test('closing waits for the calls that wait for the lock', async (context) => {
  const { path, factory } = await factoryOn(context)
  await lockElsewhere(context, path, 500)
  const record = factory.getSession('tenant-1').encryptStringAsync('secret')
  const closed = factory.closeAsync()
  assert.match(await record, /^\{/)
  await closed

  const store = new SqliteMetastore(path)
  await lockElsewhere(context, path, 500)
  const stored = store.store('_SK_a', 60, sampleRecord(60, 1))
  assert.ok(isPromiseLike(stored))
  const ended = store.close()
  assert.equal(await codeOf(() => store.load('_SK_a', 60)), 'ERR_CLOSED')
  assert.equal(await stored, true)
  await ended
})

test('waiting ends with the busy timeout, for each call that waits and for none that comes later', async (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const store = new SqliteMetastore(path, { busyTimeoutMs: 300 })
  context.after(() => store.close())
  await lockElsewhere(context, path, 1000)
  const codes = await Promise.all(
    [60, 120, 180].map((time) => codeOf(() => store.store('_SK_a', time, sampleRecord(time, 1)))),
  )
  assert.deepEqual(codes, ['ERR_METASTORE', 'ERR_METASTORE', 'ERR_METASTORE'])
  assert.equal(await store.loadLatest('_SK_a'), undefined)
  for (;;) if ((await codeOf(() => store.store('_SK_b', 60, sampleRecord(60, 1)))) === undefined) break
  assert.deepEqual(await store.loadLatest('_SK_b'), sampleRecord(60, 1))
})
