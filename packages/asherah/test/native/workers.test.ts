import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { fault, native, partition, recordsWith, text } from './partition.ts'

const folder = import.meta.dirname
const records = recordsWith()

interface WorkerAnswer {
  readonly foreignSession: number
  readonly opened: readonly string[]
  readonly sealed: string
}

async function runWorker(data: unknown): Promise<WorkerAnswer> {
  const worker = new Worker(join(folder, 'worker.ts'), { workerData: data })
  // Both may be told in one turn.
  const [[answer]] = await Promise.all([
    once(worker, 'message') as Promise<[WorkerAnswer]>,
    once(worker, 'exit'),
  ])
  return answer
}

describe('worker threads', () => {
  it('use the same ring, and not each other’s sessions; the main thread goes on when one ends', async () => {
    const { ring, session, id } = partition()
    for (let round = 0; round < 3; round++) {
      const record = text(records.encryptString(session, `from main ${round}`, 0))
      const answer = await runWorker({ ring, session, id, record, newId: `_IK_new${round}_api_catalog` })
      assert.equal(answer.foreignSession, fault.staleHandle)
      assert.deepEqual(answer.opened, [`from main ${round}`, `from main ${round}`])
      assert.equal(records.decryptString(session, answer.sealed, 0), 'from worker')
      const other = native.sessionOpen(ring, `_IK_new${round}_api_catalog`)
      assert.equal(records.decryptString(other, text(records.encryptString(other, 'x', 0)), 0), 'x')
    }
  })

  it('can be ended at any moment, with work on the pool and plaintexts alive', async () => {
    const { ring, session, id } = partition()
    const record = text(records.encryptString(session, 'x', 0))
    for (let round = 0; round < 10; round++) {
      const worker = new Worker(join(folder, 'worker.ts'), {
        workerData: { ring, session, id, record, endless: true },
      })
      await once(worker, 'message')
      await new Promise((resolve) => setTimeout(resolve, round * 3))
      await worker.terminate()
      assert.equal(records.decryptString(session, record, 0), 'x')
    }
  })
})

describe('process end', () => {
  const prologue = `
    import { partition, recordsWith } from ${JSON.stringify(join(folder, 'partition.ts'))}
    const { session } = partition()
    const records = recordsWith({ canaries: true })
    const record = records.encrypt(session, Buffer.alloc(2_000_000), 0)
    globalThis.kept = Array.from({ length: 3000 }, () => records.decrypt(session, records.encrypt(session, Buffer.alloc(100), 0), 0))
    globalThis.large = records.decrypt(session, record, 0)
    const start = () => { for (let i = 0; i < 16; i++) records.decryptOnPool(session, record, 0).then((b) => b.length) }
  `
  // Without V8's own threads: Node waits for them in process.exit, and one that compiles may then wait for ever for a collection.
  const flags = ['--single-threaded', '--input-type=module']
  const ends: readonly (readonly [string, string, number])[] = [
    ['with work on the pool that it waits for', 'start()', 0],
    ['by process.exit with work on the pool', 'start(); process.exit(3)', 3],
    ['by process.exit while work completes', 'start(); setTimeout(() => process.exit(4), 5)', 4],
    [
      'in an exit handler that uses the data plane',
      "process.on('exit', () => { records.decrypt(session, record, 0) })",
      0,
    ],
  ]
  for (const [name, script, code] of ends) {
    it(name, () => {
      for (let round = 0; round < 3; round++) {
        const child = spawnSync(process.execPath, [...flags, '-e', `${prologue};${script}`], {
          encoding: 'utf8',
          timeout: 60_000,
        })
        assert.deepEqual([child.status, child.signal, child.stderr], [code, null, ''])
      }
    })
  }
})
