// A process that gives up root, and with it CAP_IPC_LOCK, to which no lock limit applies; works with two factories; and prints
// what it was told and what it holds. It is started under a lock limit, with what it is to do as JSON.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type AsherahConfig, type LogEvent, SessionFactory, setLogHook } from 'asherah'

export interface LockLimitWork {
  readonly config: Pick<AsherahConfig, 'hotSlots' | 'requireLockedMemory' | 'ringSize'>
  readonly partitions: number
}

export interface LockLimitAnswer {
  /** The code of the error that the first factory threw. */
  readonly refused?: string
  readonly refusal?: string
  readonly warnings: readonly string[]
  readonly lockedBytes: number
  readonly unlockedBytes: number
  readonly hotSlots: number
  readonly ringKeys: number
  /** By the kernel. */
  readonly lockedByKernel: number
}

if (process.getuid?.() === 0) {
  const nobody = 65_534
  process.setgroups?.([])
  process.setgid?.(nobody)
  process.setuid?.(nobody)
}
const capabilities = BigInt(`0x${kernel('CapEff')}`)
assert.equal((capabilities >> 14n) & 1n, 0n, 'CAP_IPC_LOCK is left')

const { config, partitions } = JSON.parse(process.argv[2] ?? '{}') as LockLimitWork
const events: LogEvent[] = []
setLogHook((event) => events.push(event))

const answer = await work()
// Hooks are told in a turn of their own.
await new Promise((resolve) => setImmediate(resolve))
const warnings = events.filter(({ level }) => level === 'warn').map(({ message }) => message)
console.log(JSON.stringify({ ...answer, warnings }))

async function work(): Promise<Omit<LockLimitAnswer, 'warnings'>> {
  const none = { lockedBytes: 0, unlockedBytes: 0, hotSlots: 0, ringKeys: 0, lockedByKernel: 0 }
  let first: SessionFactory
  try {
    first = made()
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string }
    if (code !== 'ERR_MEMORY_LOCK_LIMIT') throw error
    return { refused: code, refusal: message, ...none }
  }
  const second = made()
  checkSome(second, 10)
  await second.closeAsync()
  const records = new Map<string, string>()
  for (let index = 0; index < partitions; index++) {
    const session = first.getSession(`tenant-${index}`)
    const record = session.encryptString(`secret ${index}`)
    // Some are opened at the end, when their keys have given way to others in the hot slots.
    if (index % 97 === 0) records.set(`tenant-${index}`, record)
    else assert.equal(session.decryptString(record), `secret ${index}`)
    session.close()
  }
  for (const [partition, record] of records) {
    assert.equal(first.getSession(partition).decryptString(record), partition.replace('tenant-', 'secret '))
  }
  await checkLater(first)
  const { lockedBytes, unlockedBytes, hotSlots, ringKeys } = first.stats()
  const lockedByKernel = Number.parseInt(kernel('VmLck'), 10) * 1024
  await first.closeAsync()
  return { lockedBytes, unlockedBytes, hotSlots, ringKeys, lockedByKernel }
}

function made(): SessionFactory {
  return new SessionFactory({
    serviceName: 'api',
    productId: 'catalog',
    metastore: 'memory',
    kms: 'static',
    staticMasterKeyHex: '2a'.repeat(32),
    ...config,
  })
}

function checkSome(factory: SessionFactory, count: number): void {
  for (let index = 0; index < count; index++) {
    const session = factory.getSession(`other-${index}`)
    assert.equal(session.decryptString(session.encryptString('secret')), 'secret')
  }
}

/** On the thread pool, whose threads need slots of their own. */
async function checkLater(factory: SessionFactory): Promise<void> {
  const large = Buffer.alloc(300_000, 7)
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const session = factory.getSession(`tenant-${index}`)
      assert.deepEqual(await session.decryptAsync(await session.encryptAsync(large)), large)
    }),
  )
}

function kernel(name: string): string {
  const line = new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))
  return line?.[1] ?? '0'
}
