// What thread-end.test.ts runs in a worker thread, which ends without giving anything back.
import { parentPort, workerData } from 'node:worker_threads'
import { SessionFactory } from '../../src/index.ts'
import type { KeyHandle, RingHandle } from '../../src/native/binding.ts'
import { checked } from '../../src/native/checked.ts'
import { loadNative } from '../../src/native/load.ts'
import { partition, putKey } from './partition.ts'

export type ThreadTask =
  /** Makes a factory, uses it, tells, and ends at the next message, or works on until it is terminated. */
  | {
      readonly kind: 'factory'
      readonly partitions: number
      readonly end: 'terminate' | 'exit' | 'error' | 'return'
    }
  /** Makes a ring with one key, and waits. Tells the ring. */
  | { readonly kind: 'owner'; readonly id: string }
  /** Uses another thread's ring until it is refused. Tells when it began, and by which fault it ended. */
  | { readonly kind: 'user'; readonly ring: RingHandle; readonly id: string }
  /** Puts a key into another thread's ring and keeps two handles of its own. Tells the handles. */
  | { readonly kind: 'guest'; readonly ring: RingHandle; readonly id: string }

const task = workerData as ThreadTask
const native = loadNative()

function tell(what: unknown): void {
  parentPort?.postMessage(what)
}

/** Keeps the thread alive. */
function stay(): void {
  setInterval(() => undefined, 60_000)
}

switch (task.kind) {
  case 'factory': {
    const factory = new SessionFactory({
      serviceName: 'api',
      productId: 'catalog',
      metastore: 'memory',
      kms: 'static',
      staticMasterKeyHex: '5c'.repeat(32),
    })
    const sessions = Array.from({ length: task.partitions }, (_, index) => factory.getSession(`p${index}`))
    const records = sessions.map((session) => session.encryptString('x'))
    tell(factory.stats().ringKeys)
    const work = (): void => {
      for (const [index, session] of sessions.entries()) session.decryptString(records[index] ?? '')
      void sessions[0]?.encryptAsync(Buffer.alloc(1_000_000))
      setImmediate(work)
    }
    if (task.end === 'terminate') work()
    else
      parentPort?.once('message', () => {
        if (task.end === 'exit') process.exit(0)
        if (task.end === 'error') throw new Error('the test says so')
      })
    break
  }
  case 'owner':
    tell(partition(task.id).ring)
    stay()
    break
  case 'user': {
    const session = native.sessionOpen(task.ring, task.id)
    let answer = native.encryptString(session, 'x', 0)
    tell(typeof answer)
    while (typeof answer === 'string') answer = native.encryptString(session, 'x', 0)
    tell(answer)
    break
  }
  case 'guest': {
    const key = checked(native.keyGenerate()) as KeyHandle
    putKey(task.ring, task.id, key)
    tell([key, checked(native.keyGenerate())])
    stay()
    break
  }
}
