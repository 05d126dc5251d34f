import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import {
  type AsherahConfig,
  type EnvelopeKeyRecord,
  type KeyManagementService,
  type KeyMeta,
  type Metastore,
  SessionFactory,
} from '../../src/index.ts'

export const serviceName = 'api'
export const productId = 'catalog'
export const minute = 60_000
export const day = 86_400_000

/**
 * A metastore, a KMS and a clock that tests can look into and break. Several factories over one world are several
 * processes over one database. It shares no code with the engine.
 */
export class World {
  /** By id, then by created, in Unix seconds. */
  readonly rows = new Map<string, Map<number, EnvelopeKeyRecord>>()
  /** One line a call: `load _IK_… 17`, `latest _SK_…`, `store …`, `encryptKey`, `decryptKey`. */
  readonly calls: string[] = []
  readonly clock: { wallMs: number; monotonicMs: number }
  metastoreDown = false
  kmsDown = false
  /** Whether backends answer with promises. */
  later = false
  /** Runs before a store is done: where another process gets in between. */
  beforeStore: ((keyId: string, created: number, record: EnvelopeKeyRecord) => void) | undefined
  /** Runs after the metastore has made its answer to this call, in the form of {@link calls}, and before it is given. */
  afterAnswer: ((call: string) => void) | undefined
  readonly #masterKey = randomBytes(32)

  constructor(wallMs = Date.UTC(2026, 5, 1, 12, 0, 30)) {
    this.clock = { wallMs, monotonicMs: 1_000_000 }
  }

  advance(ms: number): void {
    this.clock.wallMs += ms
    this.clock.monotonicMs += ms
  }

  factory(more: Partial<AsherahConfig> = {}): SessionFactory {
    return new SessionFactory({
      serviceName,
      productId,
      metastore: this.metastore,
      kms: this.kms,
      clock: { now: () => this.clock.wallMs, monotonic: () => this.clock.monotonicMs },
      ...more,
    })
  }

  readonly metastore: Metastore = {
    load: (keyId, created) =>
      this.#answer(`load ${keyId} ${created}`, () => this.rows.get(keyId)?.get(created)),
    loadLatest: (keyId) => this.#answer(`latest ${keyId}`, () => this.latestOf(keyId)),
    store: (keyId, created, record) =>
      this.#answer(`store ${keyId} ${created}`, () => {
        this.beforeStore?.(keyId, created, record)
        return this.insert(keyId, record)
      }),
  }

  readonly kms: KeyManagementService = {
    encryptKey: (key) => this.#kmsAnswer('encryptKey', () => seal(key, this.#masterKey)),
    decryptKey: (encryptedKey) => this.#kmsAnswer('decryptKey', () => open(encryptedKey, this.#masterKey)),
  }

  insert(keyId: string, record: EnvelopeKeyRecord): boolean {
    const generations = this.rows.get(keyId) ?? new Map<number, EnvelopeKeyRecord>()
    this.rows.set(keyId, generations)
    if (generations.has(record.created)) return false
    generations.set(record.created, record)
    return true
  }

  latestOf(keyId: string): EnvelopeKeyRecord | undefined {
    const generations = this.rows.get(keyId)
    return generations?.get(Math.max(...generations.keys()))
  }

  /** The created of each generation of an id, oldest first. */
  generations(keyId: string): number[] {
    return [...(this.rows.get(keyId)?.keys() ?? [])].sort((one, other) => one - other)
  }

  revoke(keyId: string, created: number): void {
    const row = this.rows.get(keyId)?.get(created)
    if (row === undefined) throw new Error(`no row ${keyId} ${created}`)
    this.rows.get(keyId)?.set(created, { ...row, revoked: true })
  }

  remove(keyId: string, created: number): void {
    if (this.rows.get(keyId)?.delete(created) !== true) throw new Error(`no row ${keyId} ${created}`)
    if (this.rows.get(keyId)?.size === 0) this.rows.delete(keyId)
  }

  /** A system key as this world's KMS wraps it, without asking it; `otherMaster`: as one that this KMS does not have. */
  wrap(systemKey: Uint8Array, otherMaster = false): Uint8Array {
    return seal(systemKey, otherMaster ? randomBytes(32) : this.#masterKey)
  }

  /** The record's text, opened with what the rows hold; `known`: system keys that need not be taken from their rows. */
  readRecord(record: string, known: (parent: KeyMeta) => Uint8Array | undefined = () => undefined): string {
    const { Key: key, Data: data } = JSON.parse(record) as Sealed
    const { KeyId: keyId, Created: created } = key.ParentKeyMeta
    const row = this.rows.get(keyId)?.get(created)
    const parent = row?.parentKeyMeta
    if (row === undefined || parent === undefined)
      throw new Error(`no row, or no parent, of ${keyId} ${created}`)
    const intermediateKey = open(row.encryptedKey, known(parent) ?? this.#systemKey(parent))
    const dataRowKey = open(Buffer.from(key.Key, 'base64'), intermediateKey)
    return Buffer.from(open(Buffer.from(data, 'base64'), dataRowKey)).toString()
  }

  #systemKey({ keyId, created }: KeyMeta): Uint8Array {
    const row = this.rows.get(keyId)?.get(created)
    if (row === undefined) throw new Error(`no row ${keyId} ${created}`)
    return open(row.encryptedKey, this.#masterKey)
  }

  /** What was called since the last time this was asked, without the ids' common parts. */
  takeCalls(): string[] {
    const taken = this.calls.map((call) => call.replaceAll(`_${serviceName}_${productId}`, ''))
    this.calls.length = 0
    return taken
  }

  #answer<T>(call: string, answer: () => T): T | Promise<T> {
    this.calls.push(call)
    const settle = (): T => {
      if (this.metastoreDown) throw new Error('the test says that the metastore is down')
      const value = answer()
      this.afterAnswer?.(call)
      return value
    }
    return this.later ? new Promise((resolve) => setImmediate(resolve)).then(settle) : settle()
  }

  #kmsAnswer<T>(call: string, answer: () => T): T | Promise<T> {
    this.calls.push(call)
    const settle = (): T => {
      if (this.kmsDown) throw new Error('the test says that the KMS is down')
      return answer()
    }
    // The bytes are lent for the call only, so work on them at once and answer later.
    if (!this.later) return settle()
    try {
      const value = settle()
      return new Promise((resolve) => setImmediate(() => resolve(value)))
    } catch (error) {
      return Promise.reject(error)
    }
  }
}

export const sk = `_SK_${serviceName}_${productId}`
export const ik = (partitionId: string): string => `_IK_${partitionId}_${serviceName}_${productId}`

/** A DataRowRecord (contract section 2.2). */
interface Sealed {
  readonly Key: {
    readonly Created: number
    readonly Key: string
    readonly ParentKeyMeta: { readonly KeyId: string; readonly Created: number }
  }
  readonly Data: string
}

/** The intermediate key's created that a record names. */
export function keyOf(record: string): number {
  return (JSON.parse(record) as Sealed).Key.ParentKeyMeta.Created
}

/** A record sealed under this intermediate key. */
export function sealRecord(
  text: string,
  keyId: string,
  created: number,
  intermediateKey: Uint8Array,
): string {
  const dataRowKey = randomBytes(32)
  const record: Sealed = {
    Key: {
      Created: created,
      Key: Buffer.from(seal(dataRowKey, intermediateKey)).toString('base64'),
      ParentKeyMeta: { KeyId: keyId, Created: created },
    },
    Data: Buffer.from(seal(Buffer.from(text), dataRowKey)).toString('base64'),
  }
  return JSON.stringify(record)
}

export function seal(plaintext: Uint8Array, key: Uint8Array): Uint8Array {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag(), nonce])
}

export function open(sealed: Uint8Array, key: Uint8Array): Uint8Array {
  const end = sealed.length
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(end - 12))
  decipher.setAuthTag(sealed.subarray(end - 28, end - 12))
  return Buffer.concat([decipher.update(sealed.subarray(0, end - 28)), decipher.final()])
}

/** The code of the error that the call throws or rejects with; undefined when it does neither. */
export async function codeOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    return (error as { code?: string }).code ?? `no code: ${String(error)}`
  }
}
