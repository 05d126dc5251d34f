import type { Moment } from '../clock.ts'
import type { NativeBinding, RingHandle } from '../native/binding.ts'
import type { Log } from '../observability/log.ts'
import type { BridgeEngine } from './bridge-protocol.ts'
import { Engine } from './engine.ts'
import { type SharedMetastore, SharedMetastores } from './shared-metastores.ts'
import { drive } from './work.ts'

/** How often the engines of threads that have ended are looked for; none can say so itself. */
const lookMs = 2_000

interface BuiltEngine {
  readonly engine: Engine
  readonly metastore: SharedMetastore
  at: Moment
  since: number
  ending: Promise<void> | undefined
}

/** The engines that the bridge's thread has built: one for each factory that asked. */
export class BridgeEngines {
  readonly #native: NativeBinding
  readonly #log: Log
  readonly #metastores = new SharedMetastores()
  readonly #built = new Map<RingHandle, BuiltEngine>()
  #looking: NodeJS.Timeout | undefined

  constructor(native: NativeBinding, log: Log) {
    this.#native = native
    this.#log = log
  }

  /** The engine over these rings, whose time is now `at`. */
  of(parts: BridgeEngine, at: Moment): Engine {
    const since = performance.now()
    const built = this.#built.get(parts.intermediateKeys)
    if (built !== undefined) {
      built.at = at
      built.since = since
      return built.engine
    }
    const clock = {
      now: () => entry.at.wallMs,
      // Goes on, so that a check that takes long to fail still opens its back-off from then.
      monotonic: () => entry.at.monotonicMs + (performance.now() - entry.since),
    }
    const metastore = this.#metastores.take(parts.config, parts.secrets)
    const engine = Engine.overRings(this.#native, parts, clock, metastore.metastore)
    const entry: BuiltEngine = { engine, metastore, at, since, ending: undefined }
    this.#built.set(parts.intermediateKeys, entry)
    // Only now, so that a pool whose other users have all ended serves this one.
    this.#endStale()
    this.#looking ??= setInterval(() => this.#endStale(), lookMs).unref()
    return engine
  }

  /** Ends the engine over this ring, and its metastore when no other engine uses it. */
  async end(ring: RingHandle): Promise<void> {
    const built = this.#built.get(ring)
    if (built === undefined) return
    built.ending ??= endOf(built)
    try {
      await built.ending
    } finally {
      if (this.#built.get(ring) === built) this.#built.delete(ring)
      if (this.#built.size === 0) {
        clearInterval(this.#looking)
        this.#looking = undefined
      }
    }
  }

  /** A thread that was terminated, or that ended itself, says no word; but its rings are closed then. */
  #endStale(): void {
    for (const ring of this.#built.keys()) {
      if (typeof this.#native.ringStats(ring) !== 'number') continue
      this.end(ring).catch((error: unknown) =>
        this.#log.warnOnceAMinute('closing what an ended thread had opened failed', error),
      )
    }
  }
}

async function endOf({ engine, metastore }: BuiltEngine): Promise<void> {
  try {
    await drive(engine.close())
  } finally {
    await drive(metastore.giveBack())
  }
}
