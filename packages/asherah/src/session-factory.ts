import type { AsherahConfig, CanonicalConfig } from './config/asherah-config.ts'
import { type Config, type ResolvedConfig, resolveConfig, resolveEnvironment } from './config/config.ts'
import { processEnvironment } from './config/environment.ts'
import { Secrets } from './config/secrets.ts'
import { mostUnderWay } from './engine/in-line-host.ts'
import { AsherahError, argumentError } from './errors.ts'
import { FactoryCore } from './factory-core.ts'
import { unstorableReason } from './metastore/key-id-limits.ts'
import { AsherahSession } from './session.ts'

/** What a factory tells about itself. All counts are since it was made. */
export interface FactoryStats {
  /** Intermediate keys in memory, and the most there may be. */
  readonly ringKeys: number
  readonly ringSize: number
  /** Calls whose key was in memory; the stale ones among them started a check. */
  readonly hits: number
  readonly stale: number
  /** Calls that had to wait for a key. */
  readonly misses: number
  readonly evictions: number
  /** Of the whole process. */
  readonly lockedBytes: number
  /** Of the whole process; 0 unless the lock limit is too low. */
  readonly unlockedBytes: number
  readonly hotSlots: number
  readonly hotSlotsInUse: number
  /** When the metastore last confirmed a key; undefined before the first time. */
  readonly lastGoodCheck: Date | undefined
}

/**
 * Makes sessions for one service and product. Keep one for the life of the process: it holds the keys in memory.
 *
 * Close it when it is not needed any more. One that is dropped with all its sessions is closed when JavaScript collects it,
 * and one of a thread that ended soon after; but a metastore or KMS of your own, an object or a module, is then not closed.
 *
 * @example
 * ```ts
 * const factory = new SessionFactory({
 *   serviceName: 'api', productId: 'catalog',
 *   metastore: 'sqlite', connectionString: 'keys.db',
 *   kms: 'static', staticMasterKeyHex: process.env.MASTER_KEY,
 * })
 * const session = factory.getSession('tenant-42')
 * const record = session.encryptString('secret')
 * ```
 */
export class SessionFactory {
  readonly #core: FactoryCore

  /**
   * @throws AsherahError `ERR_CONFIG_INVALID` with every problem of the configuration, `ERR_NOT_BUILT_IN`,
   *   `ERR_DRIVER_MISSING`, `ERR_METASTORE` when the store cannot be opened, `ERR_MEMORY_LOCK_LIMIT`, `ERR_NATIVE_ADDON`
   */
  constructor(config: AsherahConfig | CanonicalConfig | ResolvedConfig) {
    this.#core = new FactoryCore(isResolved(config) ? config : resolveConfig(config, processEnvironment()))
  }

  /** A factory configured by the environment alone; `docs/configuration.md` lists the variables. */
  static fromEnv(): SessionFactory {
    return new SessionFactory(resolveEnvironment(processEnvironment()))
  }

  /**
   * A session of one partition: a user, a tenant, whatever owns its records together.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE` when the id is no string
   * @throws AsherahError `ERR_PARTITION_INVALID` for an empty id or one with a lone surrogate, `ERR_PARTITION_UNSTORABLE`
   *   for one that the metastore cannot hold, `ERR_CLOSED`
   */
  getSession(partitionId: string): AsherahSession {
    this.#refuseWhenClosed()
    this.#requirePartition(partitionId)
    return new AsherahSession(this.#core, partitionId)
  }

  /**
   * Loads, or makes, the latest keys of these partitions ahead of the first calls, so that synchronous calls need not
   * wait. Rejects with the first error after all partitions were tried.
   */
  async warm(partitionIds: Iterable<string>): Promise<void> {
    this.#refuseWhenClosed()
    // A string is an iterable too: of its letters.
    if (typeof partitionIds === 'string' || typeof partitionIds?.[Symbol.iterator] !== 'function') {
      throw argumentError('partitionIds', 'an iterable of strings', partitionIds)
    }
    const wanted = [...partitionIds]
    for (const partitionId of wanted) this.#requirePartition(partitionId)
    const core = this.#core
    const failures: unknown[] = []
    const waiting = wanted.values()
    // Each question has its own time limit, so that no more are asked at once than are answered at once.
    const askInTurn = async (): Promise<void> => {
      for (const partitionId of waiting) {
        try {
          await core.inLine.ask({ kind: 'latest', partitionId })
        } catch (error) {
          failures.push(error)
        }
      }
    }
    core.enter()
    try {
      await Promise.all(Array.from({ length: Math.min(mostUnderWay, wanted.length) }, askInTurn))
    } finally {
      core.leave()
    }
    if (failures.length > 0) throw failures[0]
  }

  /** Ring, memory and look-up counts, and when the metastore was last heard of. */
  stats(): FactoryStats {
    this.#refuseWhenClosed()
    const ring = this.#core.intermediateKeys.stats()
    const memory = this.#core.native.memoryStatus()
    const lastCheck = this.#core.lastCheck
    return {
      ringKeys: ring.keys,
      ringSize: ring.capacity,
      hits: ring.hits,
      stale: ring.stale,
      misses: ring.misses,
      evictions: ring.evictions,
      lockedBytes: memory.lockedBytes,
      unlockedBytes: memory.unlockedBytes,
      hotSlots: memory.hotSlots,
      hotSlotsInUse: memory.hotSlotsInUse,
      lastGoodCheck: lastCheck === undefined ? undefined : new Date(lastCheck.wallMs),
    }
  }

  /**
   * Refuses later calls at once and destroys the keys as soon as the accepted ones have finished. Connections that the
   * library opened end in the background; those that were passed in stay open. Calling it again does nothing.
   */
  close(): void {
    this.#core.close().catch((error: unknown) => this.#core.tellLateFailure(error))
  }

  /**
   * {@link close}, and waits until everything has ended: no connection that the library opened for this factory alone is
   * left, in this thread or for its synchronous calls, and a SQLite file may be moved or deleted.
   *
   * @throws what closing the metastore or KMS failed with; AsherahError `ERR_TIMEOUT` when they take longer than
   *   `callTimeout`
   */
  async closeAsync(): Promise<void> {
    await this.#core.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.closeAsync()
  }

  /** @internal How the module API keeps sessions. */
  get sessionCache(): Config['sessionCache'] {
    return this.#core.config.sessionCache
  }

  /** @internal Waits until the backends are open, so that `setupAsync` fails early. */
  async opened(): Promise<void> {
    await this.#core.opened()
  }

  #refuseWhenClosed(): void {
    if (this.#core.closed) throw new AsherahError('ERR_CLOSED', 'The factory is closed. Make a new one.')
  }

  #requirePartition(partitionId: unknown): asserts partitionId is string {
    if (typeof partitionId !== 'string') throw argumentError('partitionId', 'a string', partitionId)
    if (partitionId === '') throw new AsherahError('ERR_PARTITION_INVALID', 'The partition id is empty.')
    if (!partitionId.isWellFormed()) {
      throw new AsherahError(
        'ERR_PARTITION_INVALID',
        'The partition id has a lone surrogate, which no store can hold.',
      )
    }
    const { ids, config } = this.#core
    const reason = unstorableReason(config.metastore.kind, ids.intermediateKeyId(partitionId))
    if (reason !== undefined) {
      throw new AsherahError(
        'ERR_PARTITION_UNSTORABLE',
        `The metastore cannot hold this partition's key id: ${reason}.`,
      )
    }
  }
}

function isResolved(config: AsherahConfig | CanonicalConfig | ResolvedConfig): config is ResolvedConfig {
  return (
    typeof config === 'object' && config !== null && 'secrets' in config && config.secrets instanceof Secrets
  )
}
