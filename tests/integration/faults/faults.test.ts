import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import { FaultSubject, type SubjectCall, type SubjectOutcome } from '../../support/fault-subject.ts'
import { backends } from './backends.ts'
import { type BackendFault, type FaultyBackend, limits } from './faulty-backend.ts'

const hour = 3_600_000
/** How much later than its limit a call may end on a busy machine, in milliseconds; hanging, it would never end. */
const graceMs = 2_500
/** How soon after the end of a fault everything works again. */
const recoveryMs = 10_000

const codes = {
  metastore: ['ERR_METASTORE', 'ERR_TIMEOUT'],
  kms: ['ERR_KMS', 'ERR_TIMEOUT'],
} as const

describe('a running process', { concurrency: 3, timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(backends)) {
    test(`over ${name}`, async (context) => {
      const backend = await open()
      const config = { serviceName: 'api', productId: 'catalog', ...limits, ...backend.config }
      const process = await FaultSubject.start(config as AsherahConfig, backend.env)
      context.after(async () => {
        process.kill()
        await backend.remove()
      })
      const proof = new FaultProof(backend, process)
      await proof.begin()
      for (const [what, fault] of Object.entries(backend.faults)) {
        await context.test(`serves through ${what}, and recovers`, (own) => proof.show(own, what, fault))
      }
      await context.test('leaves nothing behind', () => proof.end())
    })
  }
})

/** One process under one fault after the other. */
class FaultProof {
  readonly #backend: FaultyBackend
  readonly #subject: FaultSubject
  #partitions = 0
  #warmRecord = ''

  constructor(backend: FaultyBackend, subject: FaultSubject) {
    this.#backend = backend
    this.#subject = subject
  }

  async begin(): Promise<void> {
    const [sealed] = await this.#eventually(() => this.#subject.call(call('encrypt', 'warm')))
    this.#warmRecord = sealed?.value ?? assert.fail('a record')
    // Starts the bridge's thread before anything is at fault, and its connections.
    await this.#eventually(() => this.#subject.call(this.#synchronous('encrypt', this.#fresh())))
  }

  async show(context: TestContext, what: string, fault: BackendFault): Promise<void> {
    const stored = await this.#stored(8)
    await fault.begin()
    const began = performance.now()
    try {
      await this.#warmCallsWork('in memory')
      await this.#subject.advance(3 * hour)
      await this.#warmCallsWork('due for a check')
      const cold = await this.#coldCalls(stored, fault.crowd ?? 0)
      this.#requireBound(fault, cold)
      const slowest = Math.max(...cold.map(({ ms }) => ms))
      context.diagnostic(`cold calls: ${tally(cold)}; slowest ${slowest.toFixed(0)} ms`)
    } finally {
      await fault.end()
    }
    const over = performance.now()
    await this.#recovers(stored)
    context.diagnostic(
      `${what} lasted ${(over - began).toFixed(0)} ms; recovered after ${(performance.now() - over).toFixed(0)} ms`,
    )
  }

  /** Nothing is left of what the process had: no socket, nothing that keeps it alive, and it ends by itself. */
  async end(): Promise<void> {
    const active = await this.#subject.close()
    // The channel to this process is its own.
    assert.deepEqual([...new Set(active)], ['PipeWrap'])
    await until(() => this.#backend.proxy.open === 0, 'every connection is closed')
    await this.#subject.end(5_000)
  }

  /** Records of partitions that the lasting factory does not know. */
  async #stored(count: number): Promise<readonly Stored[]> {
    const partitions = Array.from({ length: count }, () => this.#fresh())
    const calls = partitions.map((partition) => ({
      ...call('encrypt', partition),
      factory: 'fresh' as const,
    }))
    const sealed = await this.#eventually(() => this.#subject.call(...calls))
    return sealed.map(({ value = '' }, index) => ({ partition: partitions[index] ?? '', record: value }))
  }

  async #warmCallsWork(when: string): Promise<void> {
    const both = [call('encrypt', 'warm'), call('decrypt', 'warm', this.#warmRecord)]
    const awaited = await this.#subject.call(...both)
    const synchronous = await this.#subject.call(...both.map((one) => ({ ...one, synchronous: true })))
    for (const outcome of [...awaited, ...synchronous]) {
      assert.equal(outcome.error, undefined, `a warm call whose key is ${when}`)
      assertEnded(outcome)
    }
    assert.equal(awaited[1]?.value, 'warm')
    assert.equal(synchronous[1]?.value, 'warm')
  }

  /** Calls that cannot be answered without the backend. */
  async #coldCalls(stored: readonly Stored[], crowd: number): Promise<readonly SubjectOutcome[]> {
    const [first, second, third, fourth] = stored
    assert.ok(first !== undefined && second !== undefined && third !== undefined && fourth !== undefined)
    const awaited =
      this.#backend.kind === 'metastore'
        ? [
            call('encrypt', this.#fresh()),
            call('decrypt', first.partition, first.record),
            { ...call('encrypt', this.#fresh()), factory: 'fresh' as const },
            { ...call('decrypt', second.partition, second.record), factory: 'fresh' as const },
            ...Array.from({ length: crowd }, () => call('encrypt', this.#fresh())),
          ]
        : [
            { ...call('encrypt', this.#fresh()), factory: 'new service' as const },
            { ...call('encrypt', first.partition), factory: 'fresh' as const },
            { ...call('decrypt', second.partition, second.record), factory: 'fresh' as const },
          ]
    if (this.#backend.kind === 'kms') await this.#newPartitionsWork()
    return [
      ...(await this.#subject.call(...awaited)),
      ...(await this.#subject.call(this.#synchronous('encrypt', this.#fresh()))),
      ...(await this.#subject.call(this.#synchronous('decrypt', third.partition, third.record))),
    ]
  }

  /** With its system key in memory, a factory makes keys for new partitions without the KMS. */
  async #newPartitionsWork(): Promise<void> {
    for (const outcome of await this.#subject.call(call('encrypt', this.#fresh())))
      assert.equal(outcome.error, undefined, 'a new partition')
  }

  /** A synchronous call that needs the backend, over the bridge. */
  #synchronous(kind: SubjectCall['kind'], partition: string, record?: string): SubjectCall {
    const factory = this.#backend.kind === 'metastore' ? 'lasting' : 'fresh'
    return { ...call(kind, partition, record), synchronous: true, factory }
  }

  #requireBound(fault: BackendFault, outcomes: readonly SubjectOutcome[]): void {
    const allowed: readonly (string | undefined)[] = codes[this.#backend.kind]
    for (const outcome of outcomes) {
      assertEnded(outcome)
      if (outcome.error !== undefined) assert.ok(allowed.includes(outcome.code), outcome.error)
      if (fault.cold === 'works') assert.equal(outcome.error, undefined)
      if (fault.cold === 'fails') assert.equal(outcome.value, undefined, 'it needs the backend')
    }
  }

  /** The same process does everything again, soon. */
  async #recovers(stored: readonly Stored[]): Promise<void> {
    await this.#subject.advance(3 * hour)
    const decrypted = await this.#eventually(() =>
      this.#subject.call(...stored.map(({ partition, record }) => call('decrypt', partition, record))),
    )
    assert.deepEqual(
      decrypted.map(({ value }) => value),
      stored.map(({ partition }) => partition),
    )
    await this.#eventually(() =>
      this.#subject.call(
        call('encrypt', 'warm'),
        call('encrypt', this.#fresh()),
        { ...call('encrypt', this.#fresh()), factory: 'fresh' },
        { ...call('encrypt', this.#fresh()), factory: 'new service' },
      ),
    )
    await this.#eventually(() => this.#subject.call(this.#synchronous('encrypt', this.#fresh())))
    const { proxy, idleConnections } = this.#backend
    await until(() => proxy.open <= idleConnections, `at most ${idleConnections} connections stay`)
  }

  /** The outcomes of calls that are made again until every one is answered, for some seconds. */
  async #eventually(make: () => Promise<readonly SubjectOutcome[]>): Promise<readonly SubjectOutcome[]> {
    const end = performance.now() + recoveryMs
    for (;;) {
      const outcomes = await make()
      const failed = outcomes.find(({ error }) => error !== undefined)
      if (failed === undefined) return outcomes
      assert.ok(performance.now() < end, `not after ${recoveryMs} ms: ${failed.error}`)
      await sleep(50)
    }
  }

  #fresh(): string {
    this.#partitions += 1
    return `tenant-${this.#partitions}`
  }
}

interface Stored {
  readonly partition: string
  readonly record: string
}

function call(kind: SubjectCall['kind'], partition: string, record?: string): SubjectCall {
  const common = { kind, partition, synchronous: false, factory: 'lasting' } as const
  return record === undefined ? common : { ...common, record }
}

function assertEnded({ ms, error }: SubjectOutcome): void {
  assert.ok(ms < limits.callTimeout + graceMs, `a call took ${ms} ms: ${error ?? 'it succeeded'}`)
}

function tally(outcomes: readonly SubjectOutcome[]): string {
  const counts = new Map<string, number>()
  for (const { code = 'answered' } of outcomes) counts.set(code, (counts.get(code) ?? 0) + 1)
  return [...counts].map(([code, count]) => `${count} ${code}`).join(', ')
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5_000
  while (!condition()) {
    assert.ok(performance.now() < end, `${what} within 5 s`)
    await sleep(20)
  }
}
