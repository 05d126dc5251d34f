import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { SessionFactory } from '../../src/index.ts'
import type { KeyHandle, RingHandle } from '../../src/native/binding.ts'
import { liveHandles } from './live-handles.ts'
import { fault, native, partition, recordsWith, text } from './partition.ts'
import type { ThreadTask } from './thread-end-worker.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-thread-end-'))
const started: Worker[] = []
after(async () => {
  await Promise.all(started.map((worker) => worker.terminate()))
  rmSync(folder, { recursive: true })
})

const records = recordsWith()

/** Starts a thread and waits until it tells something. */
async function start(task: ThreadTask): Promise<{ readonly worker: Worker; readonly told: unknown }> {
  const worker = new Worker(new URL('thread-end-worker.ts', import.meta.url), { workerData: task })
  started.push(worker)
  const [told] = await once(worker, 'message')
  return { worker, told }
}

describe('a thread that ends without closing its factory', () => {
  const partitions = 200
  // Two rings, and the static master key.
  const ofFactory = { rings: 2, keys: 1 }

  for (const end of ['terminate', 'exit', 'error', 'return'] as const) {
    it(`leaves no ring and no key, ended by ${end}`, async () => {
      const before = liveHandles()
      const slotsBefore = native.memoryStatus().hotSlotsInUse
      for (let round = 0; round < 3; round++) {
        const { worker, told } = await start({ kind: 'factory', partitions, end })
        assert.ok((told as number) >= partitions, `${told} keys`)
        if (end !== 'terminate') {
          const { rings, keys } = liveHandles()
          const left = { rings: rings - before.rings, keys: keys - before.keys }
          assert.deepEqual(left, ofFactory)
        }
        assert.ok(native.memoryStatus().hotSlotsInUse > slotsBefore)
        const ended = new Promise((resolve) => worker.once('exit', resolve))
        // Its error is the test's own.
        worker.once('error', () => undefined)
        if (end === 'terminate') await worker.terminate()
        else worker.postMessage('end')
        await ended
        assert.deepEqual(liveHandles(), before)
        assert.ok(native.memoryStatus().hotSlotsInUse <= slotsBefore)
      }
    })
  }
})

// A thread that is not refused would never end.
describe('handles that cross threads', { timeout: 30_000 }, () => {
  const id = '_IK_shared_api_catalog'

  it('has the ring of an ended thread refuse those who still use it', async () => {
    const before = liveHandles()
    const { worker: owner, told } = await start({ kind: 'owner', id })
    const ring = told as RingHandle
    const session = native.sessionOpen(ring, id)
    const record = text(records.encryptString(session, 'x', 0))
    const users = await Promise.all([1, 2].map(() => start({ kind: 'user', ring, id })))
    assert.deepEqual(
      users.map((user) => user.told),
      ['string', 'string'],
    )
    const last = users.map(({ worker }) => once(worker, 'message'))
    await owner.terminate()
    assert.deepEqual(await Promise.all(last), [[fault.closed], [fault.closed]])
    assert.equal(records.decryptString(session, record, 0), fault.closed)
    assert.equal(native.ringStats(ring), fault.staleHandle)
    assert.equal(native.ringClose(ring), fault.staleHandle)
    assert.equal(native.sessionClose(session), 0)
    assert.deepEqual(liveHandles(), before)
  })

  it('lets a ring, and the keys in it, live on when a thread that used it ends', async () => {
    const { ring, key } = partition()
    const before = liveHandles()
    const { worker, told } = await start({ kind: 'guest', ring, id })
    const handles = told as readonly KeyHandle[]
    await worker.terminate()
    assert.deepEqual(
      handles.map((handle) => native.keyRelease(handle)),
      [fault.staleHandle, fault.staleHandle],
    )
    const session = native.sessionOpen(ring, id)
    assert.equal(records.decryptString(session, text(records.encryptString(session, 'x', 0)), 0), 'x')
    assert.deepEqual(liveHandles(), before)
    assert.equal(native.keyRelease(key), 0)
  })

  it('takes a bridge that dies with a new key for no loss: the factory goes on, the key is gone', async () => {
    const path = join(folder, 'keys.db')
    const store = new URL('ending-store.ts', import.meta.url)
    store.searchParams.set('path', path)
    const bridges: Promise<unknown>[] = []
    const note = (bridge: Worker): void => {
      bridges.push(new Promise((resolve) => bridge.once('exit', resolve)))
    }
    process.on('worker', note)
    try {
      using factory = new SessionFactory({
        serviceName: 'api',
        productId: 'catalog',
        metastore: store.href,
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
      })
      const session = factory.getSession('first')
      const record = session.encryptString('first')
      const before = liveHandles()
      writeFileSync(`${path}.end`, '')
      const deaths = 3
      for (let death = 1; death <= deaths; death++) {
        assert.throws(() => factory.getSession(`lost-${death}`).encryptString('x'), { code: 'ERR_BRIDGE' })
        // Threads are told of in a turn of their own.
        await turn()
        assert.equal(bridges.length, death)
        await bridges.at(-1)
        assert.deepEqual(liveHandles(), before)
      }
      assert.equal(session.decryptString(record), 'first')
      rmSync(`${path}.end`)
      // On a new bridge, under this thread's own system key ring and master key.
      for (const name of ['second', 'lost-1']) {
        const next = factory.getSession(name)
        assert.equal(next.decryptString(next.encryptString(name)), name)
      }
      await turn()
      assert.equal(bridges.length, deaths + 1)
    } finally {
      process.off('worker', note)
    }
  })
})
