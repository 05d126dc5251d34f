// What ending-factories.test.ts has end in ways of its own: a worker thread with one factory, or a process that drops many.
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'
import type { AsherahConfig } from '../../src/config/asherah-config.ts'
import { SessionFactory } from '../../src/session-factory.ts'

export interface ThreadTask {
  readonly config: AsherahConfig
  readonly name: string
  /** Where it is when it ends: `waiting` for a message, at which it ends itself, or in `calls` that miss. */
  readonly at: 'waiting' | 'calls'
}

/** Factories that are dropped, and one that is kept. They share no partition. */
export interface DroppingTask {
  readonly config: AsherahConfig
  readonly dropped: number
}

function callOnBridge(factory: SessionFactory, partition: string): void {
  const session = factory.getSession(partition)
  if (session.decryptString(session.encryptString(partition)) !== partition) throw new Error('another text')
}

function endThread({ config, name, at }: ThreadTask): void {
  const factory = new SessionFactory(config)
  callOnBridge(factory, name)
  parentPort?.postMessage('used')
  parentPort?.once('message', () => process.exit(0))
  for (let call = 1; at === 'calls'; call += 1) callOnBridge(factory, `${name}-${call}`)
}

async function used(config: AsherahConfig, name: string): Promise<SessionFactory> {
  const factory = new SessionFactory(config)
  callOnBridge(factory, name)
  await factory.getSession(`${name}-here`).encryptStringAsync('x')
  return factory
}

async function drop({ config, dropped }: DroppingTask): Promise<void> {
  const kept = new SessionFactory(config)
  const session = kept.getSession('kept')
  const record = await session.encryptStringAsync('still here')
  const others = await Promise.all(
    Array.from({ length: dropped }, (_, index) => used(config, `dropped-${index}`)),
  )
  const told = new Promise((resolve) => process.once('message', resolve))
  process.send?.('used')
  await told
  // Until now they were here, and were counted.
  others.length = 0
  let ending = false
  process.once('message', () => {
    ending = true
  })
  while (!ending) {
    globalThis.gc?.()
    await sleep(10)
  }
  await kept.warm(['another'])
  const text = session.decryptString(record)
  await kept.closeAsync()
  process.send?.(text)
  process.disconnect?.()
}

if (isMainThread) process.once('message', (task: DroppingTask) => void drop(task))
else endThread(workerData as ThreadTask)
