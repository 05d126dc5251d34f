import type { Clock } from '../clock.ts'
import type { Config } from '../config/config.ts'
import type { BackendSecrets } from '../config/secrets.ts'
import { KeyHierarchy } from '../keys/key-hierarchy.ts'
import { openKms } from '../kms/open-kms.ts'
import type { SystemKeyWrapper } from '../kms/system-key-wrapper.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import type { Metastore } from '../metastore/metastore.ts'
import { openMetastore } from '../metastore/open-metastore.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { Log } from '../observability/log.ts'
import { metrics } from '../observability/metrics.ts'
import type { BridgeEngine } from './bridge-protocol.ts'
import { InLineHost } from './in-line-host.ts'
import { KeyRing } from './key-ring.ts'
import { OpenOnce } from './open-once.ts'
import { TimeLimit } from './time-limit.ts'
import { drive, settled, type Work } from './work.ts'

export interface EngineParts {
  readonly native: NativeBinding
  readonly config: Omit<Config, 'clock'>
  readonly clock: Clock
  readonly intermediateKeys: KeyRing
  readonly systemKeys: KeyRing
  /** The static KMS's master key; the factory's to release. */
  readonly masterKey: KeyHandle | undefined
  readonly secrets: BackendSecrets
  /** One that is opened and closed elsewhere, in place of one of the engine's own. */
  readonly sharedMetastore?: OpenOnce<Metastore>
}

/** Backends that the library opened itself, for one engine alone. They refer to nothing of the user's. */
export interface OwnBackends {
  readonly metastore: OpenOnce<Metastore> | undefined
  readonly kms: OpenOnce<SystemKeyWrapper> | undefined
}

/** Ends what a metastore itself opened. */
export function* closeMetastore(metastore: Metastore): Work<void> {
  if (metastore.close !== undefined) yield* settled(metastore.close())
}

/** Ends them both, where they are. */
export function* closeBackends({ metastore, kms }: OwnBackends): Work<void> {
  try {
    if (metastore !== undefined) yield* metastore.close(closeMetastore)
  } finally {
    if (kms !== undefined) yield* kms.close((opened) => opened.close())
  }
}

// What these refer to lives as long as they do, which may be longer than the engine: nothing but what they need.
function metastoreOf(
  { metastore, regionSuffix, limits }: EngineParts['config'],
  secrets: BackendSecrets,
): OpenOnce<Metastore> {
  const config = { metastore, regionSuffix, limits }
  return new OpenOnce(() => openMetastore(config, secrets))
}

function kmsOf(
  { kms, limits, policy }: EngineParts['config'],
  secrets: BackendSecrets,
  native: NativeBinding,
  masterKey: KeyHandle | undefined,
): OpenOnce<SystemKeyWrapper> {
  const config = { kms, limits, policy }
  return new OpenOnce(() => openKms(config, secrets, native, masterKey))
}

/** Everything behind the key port: the backends, opened when first needed, and the hierarchy that works on them. */
export class Engine {
  readonly inLine: InLineHost
  readonly hierarchy: KeyHierarchy
  /** What of the backends may be ended when the engine was dropped: neither an object nor a module of the user's. */
  readonly ownBackends: OwnBackends
  readonly #callTimeoutMs: number
  readonly #metastore: OpenOnce<Metastore>
  readonly #kms: OpenOnce<SystemKeyWrapper>
  readonly #ownsMetastore: boolean

  constructor(parts: EngineParts) {
    const { native, config, clock, intermediateKeys, systemKeys } = parts
    const metastore = parts.sharedMetastore ?? metastoreOf(config, parts.secrets)
    const kms = kmsOf(config, parts.secrets, native, parts.masterKey)
    this.#ownsMetastore = parts.sharedMetastore === undefined
    this.ownBackends = {
      metastore: this.#ownsMetastore && isBuiltIn(config.metastore) ? metastore : undefined,
      kms: isBuiltIn(config.kms) ? kms : undefined,
    }
    this.#callTimeoutMs = config.callTimeoutMs
    this.#metastore = metastore
    this.#kms = kms
    this.hierarchy = new KeyHierarchy({
      native,
      identity: config,
      settings: config.policy,
      clock,
      callTimeoutMs: config.callTimeoutMs,
      intermediateKeys,
      systemKeys,
      metastore,
      kms: () => kms.get(),
      log: new Log('asherah::keys', config.verbose),
      metrics,
    })
    this.inLine = new InLineHost(this.hierarchy, config.callTimeoutMs)
  }

  /** The engine of another thread's factory, over that factory's rings. */
  static overRings(
    native: NativeBinding,
    parts: BridgeEngine,
    clock: Clock,
    sharedMetastore: OpenOnce<Metastore>,
  ): Engine {
    return new Engine({
      native,
      config: parts.config,
      clock,
      intermediateKeys: new KeyRing(native, parts.intermediateKeys),
      systemKeys: new KeyRing(native, parts.systemKeys),
      masterKey: parts.masterKey,
      secrets: parts.secrets,
      sharedMetastore,
    })
  }

  /** Whether both backends are open. */
  get opened(): boolean {
    return this.#metastore.opened !== undefined && this.#kms.opened !== undefined
  }

  /** Opens the backends, to fail early. */
  open(): MaybePromise<void> {
    return drive(this.#openBoth(), new TimeLimit(this.#callTimeoutMs, { keepsAlive: true }))
  }

  /** Ends what the backends themselves opened; a client that the user passed in stays open. */
  *close(): Work<void> {
    yield* closeBackends({ metastore: this.#ownsMetastore ? this.#metastore : undefined, kms: this.#kms })
  }

  *#openBoth(): Work<void> {
    yield* this.#metastore.get()
    yield* this.#kms.get()
  }
}

function isBuiltIn({ kind }: { readonly kind: string }): boolean {
  return kind !== 'object' && kind !== 'module'
}
