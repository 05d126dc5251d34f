import assert from 'node:assert/strict'
import { AsherahError, type SessionFactory } from '../../src/index.ts'
import type { EnvelopeKeyRecord } from '../../src/metastore/metastore.ts'
import { codeOf, ik, keyOf, minute, sk, World } from '../support/world.ts'
import { checkIntervalSeconds, expireAfterSeconds, partitions, type Setting, type Step } from './steps.ts'

const stepSeconds = 60
const intervalMs = checkIntervalSeconds * 1000

/** What happened in all histories, so that the test can tell whether they reached what it is about. */
export const tally = {
  records: 0,
  keysMade: 0,
  afterRevocation: 0,
  duringOutage: 0,
  refused: 0,
  lostRaces: 0,
}

interface Process {
  factory: SessionFactory
  readonly suffix: string
  skewMs: number
  /** The keys, by id and created, that it has in memory: it used them. */
  readonly held: Set<string>
  /** Those of them that it used as the latest. */
  readonly heldAsLatest: Set<string>
}

interface Kept {
  readonly record: string
  readonly text: string
  readonly partition: string
}

/** Several processes over one metastore, and everything that must hold after each step. */
export class History {
  readonly #world = new World()
  readonly #processes: Process[]
  readonly #records: Kept[] = []
  /** Monotonic time of each row's revocation, by its name. */
  readonly #revokedAt = new Map<string, number>()
  /** Last monotonic time at which the metastore was down. */
  #metastoreDownAt = Number.NEGATIVE_INFINITY

  constructor({ processes, later }: Setting) {
    this.#world.later = later
    this.#processes = processes.map(({ suffix, skewMs }) =>
      this.#start({ suffix, skewMs, held: new Set(), heldAsLatest: new Set() }),
    )
  }

  async run(step: Step): Promise<void> {
    const world = this.#world
    if (world.metastoreDown) this.#metastoreDownAt = world.clock.monotonicMs
    switch (step.kind) {
      case 'encrypt':
        await this.#encrypt(this.#process(step.process), partitionAt(step.partition))
        break
      case 'decrypt':
        if (this.#records.length > 0) await this.#decrypt(this.#process(step.process), step.record)
        break
      case 'together':
        await this.#together(step)
        break
      case 'wait':
        world.advance(step.ms)
        break
      case 'revoke':
        this.#revoke(step.row)
        break
      case 'restart': {
        const process = this.#process(step.process)
        process.factory.close()
        process.skewMs = step.skewMs
        process.held.clear()
        process.heldAsLatest.clear()
        this.#start(process)
        break
      }
      case 'outage':
        if (step.backend === 'metastore') world.metastoreDown = step.down
        else world.kmsDown = step.down
    }
    if (world.metastoreDown) this.#metastoreDownAt = world.clock.monotonicMs
    await this.#quiet()
  }

  /** With the backends up, every record ever returned decrypts: with the rows alone, in each process, and in a new one. */
  async finish(): Promise<void> {
    const world = this.#world
    world.metastoreDown = false
    world.kmsDown = false
    const fresh = this.#processes.map(({ suffix, skewMs }) =>
      this.#start({ suffix, skewMs, held: new Set(), heldAsLatest: new Set() }),
    )
    for (const { record, text, partition } of this.#records) {
      assert.equal(world.readRecord(record), text)
      for (const { factory } of [...this.#processes, ...fresh])
        assert.equal(await factory.getSession(partition).decryptStringAsync(record), text)
    }
    for (const { factory } of [...this.#processes, ...fresh]) await factory.closeAsync()
  }

  #start(like: Omit<Process, 'factory'>): Process {
    const { clock } = this.#world
    const process = like as Process
    process.factory = this.#world.factory({
      regionSuffix: like.suffix,
      expireAfter: expireAfterSeconds,
      checkInterval: checkIntervalSeconds,
      createdPrecision: stepSeconds,
      clock: { now: () => clock.wallMs + process.skewMs, monotonic: () => clock.monotonicMs },
    })
    return process
  }

  #process(index: number): Process {
    const process = this.#processes[index % this.#processes.length]
    assert.ok(process)
    return process
  }

  async #encrypt(process: Process, partition: string): Promise<void> {
    const world = this.#world
    const before = this.#latestRows(process, partition)
    const rows = this.#names()
    world.calls.length = 0
    const code = await refusalOf(() => this.#sealOne(process, partition))
    const calls = world.calls.splice(0)
    const made = [...this.#names()].filter((name) => !rows.has(name))
    tally.keysMade += made.length
    if (world.metastoreDown) {
      assert.deepEqual(made, [], 'a key was made in an outage')
      assert.ok(!calls.some((call) => /^(store|encryptKey)/.test(call)), `blindly: ${calls.join(', ')}`)
    }
    const madeSystemKey = made.some((name) => name.startsWith('_SK_'))
    const madeIntermediateKey = made.some((name) => name.startsWith('_IK_'))
    assert.equal(made.length, Number(madeSystemKey) + Number(madeIntermediateKey), made.join(', '))
    if (madeSystemKey) {
      assert.ok(!this.#isUsable(process, before.systemKey), 'a system key was made beside a usable one')
      assert.ok(!world.kmsDown, 'a system key was made without the KMS')
    }
    if (madeIntermediateKey) {
      const isUsable = this.#isUsable(process, before.intermediateKey)
      const parent = before.intermediateKey?.parentKeyMeta
      const isParentUsable =
        parent && this.#isUsable(process, world.rows.get(parent.keyId)?.get(parent.created))
      assert.ok(!isUsable || !isParentUsable, 'an intermediate key was made beside a usable one')
    }
    if (code === undefined) return
    tally.refused += 1
    if (code === 'ERR_KEY_TIME') assert.ok(this.#isAhead(process, before), 'ERR_KEY_TIME without a reason')
    else if (code === 'ERR_METASTORE') assert.ok(world.metastoreDown, 'ERR_METASTORE with the metastore up')
    else assert.ok(code === 'ERR_KMS' && world.kmsDown, code)
    assert.ok(!this.#servesOn(process, partition), `${code}, though a usable key is in memory`)
  }

  /** One encryption, and what must hold of its key. */
  async #sealOne(process: Process, partition: string): Promise<void> {
    const world = this.#world
    const text = `${this.#records.length} ${partition}`
    const record = await process.factory.getSession(partition).encryptStringAsync(text)
    const keyId = idOf(process, partition)
    const created = keyOf(record)
    this.#records.push({ record, text, partition })
    process.held.add(`${keyId} ${created}`)
    process.heldAsLatest.add(`${keyId} ${created}`)
    tally.records += 1
    if (world.metastoreDown || world.kmsDown) tally.duringOutage += 1
    assert.equal(world.readRecord(record), text, 'the key in use is not the one that was stored')
    const row = world.rows.get(keyId)?.get(created)
    assert.ok(row?.parentKeyMeta, `sealed under ${keyId} ${created}, which has no row`)
    const { keyId: parentId, created: parentCreated } = row.parentKeyMeta
    for (const [id, time] of [[keyId, created] as const, [parentId, parentCreated] as const]) {
      assert.ok(wallOf(world, process) < endOf(time), `${id} ${time} was used after its expiry`)
      const revokedAt = this.#revokedAt.get(`${id} ${time}`)
      if (revokedAt === undefined) continue
      tally.afterRevocation += 1
      // An outage ends in at most two back-offs of 10 s: the parent's check, then its child's.
      const until = Math.max(revokedAt + 2 * intervalMs, this.#metastoreDownAt + 20_001)
      const since = (world.clock.monotonicMs - revokedAt) / 1000
      assert.ok(world.clock.monotonicMs < until, `${id} ${time} was used ${since} s after its revocation`)
    }
  }

  async #decrypt(process: Process, index: number): Promise<void> {
    const world = this.#world
    const kept = this.#records[index % this.#records.length]
    assert.ok(kept)
    const rows = this.#names()
    world.calls.length = 0
    const key = keyName(kept.record)
    let text = ''
    const code = await codeOf(async () => {
      text = await process.factory.getSession(kept.partition).decryptStringAsync(kept.record)
    })
    assert.deepEqual(this.#names(), rows, 'decrypt wrote')
    const calls = world.calls.splice(0)
    assert.ok(calls.length <= 3, `decrypt cost ${calls.join(', ')}`)
    assert.ok(
      !calls.some((call) => /^(latest|store|encryptKey)/.test(call)),
      `decrypt asked ${calls.join(', ')}`,
    )
    if (code === undefined) {
      assert.equal(text, kept.text)
      process.held.add(key)
    } else {
      tally.refused += 1
      assert.ok(!process.held.has(key), `${code}, though the key is in memory`)
      const isOutage =
        (code === 'ERR_METASTORE' && world.metastoreDown) || (code === 'ERR_KMS' && world.kmsDown)
      assert.ok(isOutage, code)
    }
    for (const other of partitions) {
      if (other === kept.partition) continue
      const session = process.factory.getSession(other)
      assert.equal(await codeOf(() => session.decryptStringAsync(kept.record)), 'ERR_RECORD_FOREIGN', other)
    }
    assert.deepEqual(world.calls, [], "another partition's record was looked up")
  }

  async #together({ calls, downAfter }: Step & { kind: 'together' }): Promise<void> {
    const world = this.#world
    const wasDown = world.metastoreDown
    const rows = this.#names()
    world.calls.length = 0
    const codes = calls.map(({ process, partition }) =>
      refusalOf(() => this.#sealOne(this.#process(process), partitionAt(partition))),
    )
    if (downAfter !== undefined) {
      for (let turn = 0; turn < downAfter; turn++) await new Promise((resolve) => setImmediate(resolve))
      world.metastoreDown = true
      this.#metastoreDownAt = world.clock.monotonicMs
    }
    const found = await Promise.all(codes)
    const isOutage = world.metastoreDown || world.kmsDown
    for (const code of found) {
      if (code === undefined || code === 'ERR_KEY_TIME') continue
      assert.ok(isOutage && ['ERR_METASTORE', 'ERR_KMS'].includes(code), code)
    }
    await this.#quiet()
    world.metastoreDown = wasDown
    const made = [...this.#names()].filter((name) => !rows.has(name))
    tally.keysMade += made.length
    tally.lostRaces += world.calls.filter((call) => call.startsWith('store')).length - made.length
    const minutes = new Set(this.#processes.map((process) => Math.floor(wallOf(world, process) / minute)))
    // A key made under a system key that was revoked behind its maker's back is replaced by the next process at once.
    const lasting = made.filter((name) => !this.#hasRevokedParent(name))
    const perId = Map.groupBy(lasting, (name) => rowNamed(name).id)
    for (const names of perId.values())
      assert.ok(names.length <= minutes.size, `in ${minutes.size} different minutes: ${names.join(', ')}`)
  }

  #hasRevokedParent(name: string): boolean {
    const { id, created } = rowNamed(name)
    const parent = this.#world.rows.get(id)?.get(created)?.parentKeyMeta
    return parent !== undefined && this.#revokedAt.has(`${parent.keyId} ${parent.created}`)
  }

  #revoke(index: number): void {
    const names = [...this.#names()].filter((name) => !this.#revokedAt.has(name))
    const name = names[index % names.length]
    if (name === undefined) return
    const { id, created } = rowNamed(name)
    this.#world.revoke(id, created)
    this.#revokedAt.set(name, this.#world.clock.monotonicMs)
  }

  /** Whether the process has a key for this partition that no rule takes away from it. */
  #servesOn(process: Process, partition: string): boolean {
    const generations = this.#world.rows.get(idOf(process, partition)) ?? new Map<number, EnvelopeKeyRecord>()
    return [...generations.values()].some((row) => {
      const parent = row.parentKeyMeta
      return (
        process.heldAsLatest.has(`${idOf(process, partition)} ${row.created}`) &&
        this.#isUsable(process, row) &&
        parent !== undefined &&
        this.#isUsable(process, this.#world.rows.get(parent.keyId)?.get(parent.created)) &&
        // The latest that the process knows of is the one that serves on.
        row === this.#world.latestOf(idOf(process, partition))
      )
    })
  }

  #latestRows(process: Process, partition: string): Latest {
    return {
      intermediateKey: this.#world.latestOf(idOf(process, partition)),
      systemKey: this.#world.latestOf(withSuffix(sk, process.suffix)),
    }
  }

  #isUsable(process: Process, row: EnvelopeKeyRecord | undefined): boolean {
    return row !== undefined && row.revoked !== true && wallOf(this.#world, process) < endOf(row.created)
  }

  /** Whether a new key would have to be dated more than five steps ahead. */
  #isAhead(process: Process, { intermediateKey, systemKey }: Latest): boolean {
    const now = Math.floor(wallOf(this.#world, process) / minute) * stepSeconds
    return [intermediateKey, systemKey].some(
      (row) => row !== undefined && row.created >= now + 5 * stepSeconds,
    )
  }

  #names(): Set<string> {
    return new Set(
      [...this.#world.rows].flatMap(([id, generations]) =>
        [...generations.keys()].map((time) => `${id} ${time}`),
      ),
    )
  }

  /** Until no backend is asked any more: each answers within a turn of the event loop. */
  async #quiet(): Promise<void> {
    for (let idleTurns = 0; idleTurns < 4; ) {
      const before = this.#world.calls.length
      await new Promise((resolve) => setImmediate(resolve))
      idleTurns = this.#world.calls.length === before ? idleTurns + 1 : 0
    }
  }
}

interface Latest {
  readonly intermediateKey: EnvelopeKeyRecord | undefined
  readonly systemKey: EnvelopeKeyRecord | undefined
}

/** The code of the library's error; what this file itself asserts goes on up. */
async function refusalOf(call: () => Promise<void>): Promise<string | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    if (error instanceof AsherahError) return error.code
    throw error
  }
}

function partitionAt(index: number): string {
  return partitions[index % partitions.length] ?? partitions[0]
}

function idOf({ suffix }: Process, partition: string): string {
  return withSuffix(ik(partition), suffix)
}

function rowNamed(name: string): { id: string; created: number } {
  const at = name.lastIndexOf(' ')
  return { id: name.slice(0, at), created: Number(name.slice(at + 1)) }
}

function withSuffix(id: string, suffix: string): string {
  return suffix === '' ? id : `${id}_${suffix}`
}

function wallOf(world: World, { skewMs }: Process): number {
  return world.clock.wallMs + skewMs
}

function endOf(created: number): number {
  return (created + expireAfterSeconds) * 1000
}

function keyName(record: string): string {
  const { KeyId: id, Created: created } = JSON.parse(record).Key.ParentKeyMeta as {
    KeyId: string
    Created: number
  }
  return `${id} ${created}`
}
