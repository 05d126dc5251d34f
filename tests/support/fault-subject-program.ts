// A process that uses the library under faults: see `fault-subject.ts`. An unhandled rejection ends it, as Node does.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AsherahConfig, AsherahError, SessionFactory } from '../../packages/asherah/src/index.ts'
import type { SubjectCall, SubjectCommand, SubjectOutcome } from './fault-subject.ts'

/** How far both clocks are ahead of the system's, in milliseconds. */
let aheadMs = 0
const clock = {
  now: () => Date.now() + aheadMs,
  monotonic: () => performance.now() + aheadMs,
}

let config: AsherahConfig | undefined
let lasting: SessionFactory | undefined
let services = 0

process.on('message', (command: SubjectCommand) => {
  void answer(command).then((value) => process.send?.(value ?? null))
})

async function answer(command: SubjectCommand): Promise<unknown> {
  switch (command.kind) {
    case 'open':
      config = { ...command.config, clock }
      lasting = new SessionFactory(config)
      return
    case 'call':
      return Promise.all(command.calls.map(outcomeOf))
    case 'advance':
      aheadMs += command.ms
      return
    case 'close':
      await lasting?.closeAsync()
      // Whatever ends in the next turns by itself is nothing left behind.
      await sleep(50)
      return process.getActiveResourcesInfo()
  }
}

async function outcomeOf(call: SubjectCall): Promise<SubjectOutcome> {
  const started = performance.now()
  try {
    const value = await made(call)
    return { value, ms: performance.now() - started }
  } catch (error) {
    const ms = performance.now() - started
    if (!(error instanceof AsherahError)) return { error: String(error), ms }
    return { code: error.code, error: `${error.message} (${String(error.cause)})`, ms }
  }
}

async function made(call: SubjectCall): Promise<string> {
  assert.ok(config !== undefined && lasting !== undefined, 'opened')
  if (call.factory === 'lasting') return use(lasting, call)
  services += 1
  const serviceName = call.factory === 'fresh' ? config.serviceName : `new-${services}`
  const factory = new SessionFactory({ ...config, serviceName } as AsherahConfig)
  try {
    return await use(factory, call)
  } finally {
    factory.close()
  }
}

async function use(factory: SessionFactory, { kind, partition, record = '', synchronous }: SubjectCall) {
  using session = factory.getSession(partition)
  if (kind === 'encrypt') {
    return synchronous ? session.encryptString(partition) : await session.encryptStringAsync(partition)
  }
  return synchronous ? session.decryptString(record) : await session.decryptStringAsync(record)
}
