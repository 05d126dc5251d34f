import type { Clock, Moment } from './clock.ts'
import {
  type Config,
  confusesPartitions,
  confusion,
  isRegionSuffix,
  type ResolvedConfig,
  serialisable,
} from './config/config.ts'
import type { Secrets } from './config/secrets.ts'
import { Bridge } from './engine/bridge.ts'
import { Engine } from './engine/engine.ts'
import type { InLineHost } from './engine/in-line-host.ts'
import { KeyRing } from './engine/key-ring.ts'
import { SynchronousPort } from './engine/synchronous-port.ts'
import { drive } from './engine/work.ts'
import { AsherahError } from './errors.ts'
import { droppedFactories, droppedSessions } from './factory-remains.ts'
import { prepareMemory } from './guarded-memory.ts'
import { KeyIds } from './keys/key-ids.ts'
import { takeMasterKey } from './kms/static-master-key.ts'
import { isPromiseLike } from './maybe-promise.ts'
import type { KeyHandle, NativeBinding, SessionHandle } from './native/binding.ts'
import { checked } from './native/checked.ts'
import { loadNative } from './native/load.ts'
import { Records } from './native/records.ts'
import { Log } from './observability/log.ts'
import { metrics } from './observability/metrics.ts'
import type { AsherahSession } from './session.ts'
import type { SessionHost } from './session-host.ts'

/** System keys held at once: one a rotation and region, so this is decades of them. */
const systemKeyRingSize = 1024

/** One factory's rings, engine and life: what `SessionFactory` shows and what its sessions work with. */
export class FactoryCore implements SessionHost {
  readonly records: Records
  readonly inLine: InLineHost
  readonly synchronous: SynchronousPort
  readonly intermediateKeys: KeyRing
  readonly ids: KeyIds
  readonly config: Config
  readonly native: NativeBinding
  readonly #engine: Engine
  readonly #systemKeys: KeyRing
  readonly #bridge: Bridge | undefined
  readonly #masterKey: KeyHandle | undefined
  readonly #clock: Clock
  readonly #log: Log
  #inFlight = 0
  #lane: Promise<void> = Promise.resolve()
  #drained: (() => void) | undefined
  /** A clock was injected, or the factory is closed. A field of its own: asked at each call. */
  #slower: boolean
  #closing: Promise<void> | undefined

  constructor({ config: given, secrets }: ResolvedConfig) {
    const config = withEffectiveSuffix(given)
    this.config = config
    this.#log = new Log('asherah', config.verbose)
    const native = preparedNative(config, secrets, this.#log)
    this.native = native
    for (const notice of config.notices) this.#log.warn(notice)
    this.ids = new KeyIds(config)
    this.#slower = config.clock !== undefined
    this.#clock = config.clock ?? { now: Date.now, monotonic: () => native.monotonicMs() }
    this.records = new Records(native, config.plaintext, (failures) =>
      this.#log.error(
        `${failures} canaries around decrypted data were overwritten: something writes out of bounds`,
      ),
    )
    this.#masterKey = takeMasterKey(native, config.kms, secrets)
    const suffixes = { suffix: config.regionSuffix, acceptedSuffixes: config.recoveryRegionSuffixes }
    this.intermediateKeys = KeyRing.create(
      native,
      { ...suffixes, capacity: config.memory.ringSize },
      config.clock,
    )
    this.#systemKeys = KeyRing.create(native, { ...suffixes, capacity: systemKeyRingSize }, config.clock)
    const backendSecrets = secrets.forBackends()
    this.#engine = new Engine({
      native,
      config,
      clock: this.#clock,
      intermediateKeys: this.intermediateKeys,
      systemKeys: this.#systemKeys,
      masterKey: this.#masterKey,
      secrets: backendSecrets,
    })
    this.inLine = this.#engine.inLine
    const rebuildable = serialisable(config)
    this.#bridge =
      rebuildable === undefined
        ? undefined
        : new Bridge(
            native,
            {
              config: rebuildable,
              intermediateKeys: this.intermediateKeys.handle,
              systemKeys: this.#systemKeys.handle,
              masterKey: this.#masterKey,
              secrets: backendSecrets,
            },
            this.#clock,
            config.callTimeoutMs,
            this.#log,
          )
    this.synchronous = new SynchronousPort({
      inLine: this.inLine.background,
      bridge: this.#bridge,
      unreachable: unreachableBackend(config),
      opened: () => this.#engine.opened,
      answersLater: answersLater(config),
      log: this.#log,
    })
    droppedFactories.register(
      this,
      {
        intermediateKeys: this.intermediateKeys.handle,
        systemKeys: this.#systemKeys.handle,
        masterKey: this.#masterKey,
        backends: this.#engine.ownBackends,
      },
      this,
    )
    this.#openEarly()
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  get observed(): boolean {
    return metrics.active || this.#slower
  }

  /** When the metastore last confirmed a key, in this thread or over the bridge. */
  get lastCheck(): Moment | undefined {
    const inLine = this.#engine.hierarchy.lastCheck
    const bridged = this.#bridge?.lastAnswer
    return bridged !== undefined && (inLine === undefined || bridged.wallMs > inLine.wallMs)
      ? bridged
      : inLine
  }

  /** Opens the backends and waits until they are, so that a mistake shows before the first record. */
  async opened(): Promise<void> {
    await this.#engine.open()
  }

  openSession(session: AsherahSession): SessionHandle {
    const coreId = this.ids.intermediateKeyCore(session.partitionId)
    const handle = checked(this.native.sessionOpen(this.intermediateKeys.handle, coreId)) as SessionHandle
    droppedSessions.register(session, handle, session)
    return handle
  }

  closeSession(session: AsherahSession, handle: SessionHandle): void {
    droppedSessions.unregister(session)
    this.native.sessionClose(handle)
  }

  setClock(): void {
    this.intermediateKeys.followClock()
    // The bridge's thread looks into both rings by the clock that they were left with here.
    this.#systemKeys.followClock()
  }

  enter(): void {
    this.#inFlight += 1
  }

  leave(): void {
    this.#inFlight -= 1
    if (this.#inFlight === 0) this.#drained?.()
  }

  inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#lane.then(call)
    this.#lane = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }

  /**
   * Refuses later calls at once. The keys are destroyed, and the backends closed, as soon as the accepted calls have
   * finished: on return when there are none and the backends close at once.
   */
  close(): Promise<void> {
    this.#slower = true
    this.#closing ??= this.#inFlight === 0 ? this.#finish() : this.#finishWhenDrained()
    return this.#closing
  }

  /** An error of a close that nobody waits for. */
  tellLateFailure(error: unknown): void {
    this.#log.warnOnceAMinute('closing the metastore or KMS failed', error)
  }

  async #finishWhenDrained(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#drained = resolve
    })
    // The last call's own promise settles some microtasks after it was counted out.
    await new Promise((resolve) => setImmediate(resolve))
    await this.#finish()
  }

  async #finish(): Promise<void> {
    droppedFactories.unregister(this)
    this.intermediateKeys.close()
    this.#systemKeys.close()
    const bridged = this.#bridge?.close()
    if (this.#masterKey !== undefined) this.native.keyRelease(this.#masterKey)
    const ends = await Promise.allSettled([this.#closeEngine(), bridged])
    for (const end of ends) if (end.status === 'rejected') throw end.reason
  }

  async #closeEngine(): Promise<void> {
    await drive(this.#engine.close())
  }

  /** Backends that open at once do so now: a wrong path or a missing driver is told by the constructor. */
  #openEarly(): void {
    const { metastore, kms } = this.config
    if (answersLater(this.config) || metastore.kind === 'module' || kms.kind === 'module') return
    try {
      const opening = this.#engine.open()
      // The first call that needs it opens it again and tells its failure.
      if (isPromiseLike(opening))
        opening.then(undefined, (error: unknown) =>
          this.#log.warnOnceAMinute('opening the metastore or KMS failed', error),
        )
    } catch (error) {
      this.close().catch((late: unknown) => this.tellLateFailure(late))
      throw error instanceof AsherahError
        ? error
        : new AsherahError('ERR_CONFIG_INVALID', 'The metastore or KMS could not be opened.', {
            cause: error,
          })
    }
  }
}

/** Whether a backend of ours is reached over a network. What a user's own does shows at the first call. */
function answersLater({ metastore, kms }: Config): boolean {
  const network = ['rdbms', 'dynamodb', 'aws', 'vault', 'secrets-manager']
  return network.includes(metastore.kind) || network.includes(kms.kind)
}

/** The data plane with its memory made; the master key does not stay behind in JavaScript's when that fails. */
function preparedNative(config: Config, secrets: Secrets, log: Log): NativeBinding {
  try {
    const native = loadNative()
    prepareMemory(native, config.memory, log)
    return native
  } catch (error) {
    secrets.wipe()
    throw error
  }
}

/** A metastore object of the user's may bring its own region suffix (contract section 1.3). */
function withEffectiveSuffix(config: Config): Config {
  const suffix = config.metastore.kind === 'object' ? (config.metastore.metastore.regionSuffix ?? '') : ''
  if (suffix !== '' && !isRegionSuffix(suffix)) {
    throw new AsherahError(
      'ERR_CONFIG_INVALID',
      "The metastore's regionSuffix must not have _, white space or control characters.",
    )
  }
  if (confusesPartitions(config, suffix)) {
    throw new AsherahError('ERR_CONFIG_INVALID', `The metastore's regionSuffix ${confusion}.`)
  }
  return suffix === '' ? config : { ...config, regionSuffix: suffix }
}

/** What another thread cannot rebuild, for the error of a synchronous call that would have to wait for it. */
function unreachableBackend({ metastore, kms }: Config): string {
  if (metastore.kind === 'object') return 'the metastore object that was passed in'
  if (kms.kind === 'object') return 'the KMS object that was passed in'
  if (kms.kind === 'static' && kms.key === 'random') return 'the random master key'
  return "this process's memory store"
}
