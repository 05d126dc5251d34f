// What workers.test.ts runs in a worker thread.
import { parentPort, workerData } from 'node:worker_threads'
import type { RingHandle, SessionHandle } from '../../src/native/binding.ts'
import { loadNative } from '../../src/native/load.ts'
import { bytes, putKey, recordsWith, text } from './partition.ts'

interface Task {
  readonly ring: RingHandle
  /** A session of the main thread. */
  readonly session: SessionHandle
  readonly id: string
  readonly record: string
  readonly newId: string
  readonly endless?: boolean
}

const { ring, session: foreign, id, record, newId, endless } = workerData as Task
const native = loadNative()
const records = recordsWith()
const session = native.sessionOpen(ring, id)

if (endless === true) {
  const kept: Buffer[] = []
  const large = text(records.encrypt(session, Buffer.alloc(1_000_000), 0))
  parentPort?.postMessage('at work')
  const turn = (): void => {
    for (let index = 0; index < 50; index++) kept.push(bytes(records.decrypt(session, record, 0)))
    for (let index = 0; index < 4; index++) void records.decryptOnPool(session, large, 0)
    setImmediate(turn)
  }
  turn()
} else {
  putKey(ring, newId, native.keyGenerate())
  parentPort?.postMessage({
    foreignSession: records.encrypt(foreign, Buffer.from('x'), 0),
    opened: [
      records.decryptString(session, record, 0),
      bytes(records.decrypt(session, record, 0)).toString(),
    ],
    sealed: records.encryptString(session, 'from worker', 0),
  })
}
