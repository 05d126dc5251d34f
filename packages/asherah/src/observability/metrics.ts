import { HookQueue } from './hook-queue.ts'

/** One event for the metrics hook (contract section 6.5). */
export type MetricEvent =
  | {
      /** `encrypt` and `decrypt` time a session's call, `load` and `store` one call of the metastore. */
      readonly type: 'encrypt' | 'decrypt' | 'load' | 'store'
      /** Nanoseconds. */
      readonly durationNs: number
    }
  | {
      /** Whether the key was in memory; `cache_stale`: it was, but due for a check. */
      readonly type: 'cache_hit' | 'cache_miss' | 'cache_stale'
      /** `latest`: the key to encrypt with; `meta`: the key that a record names. */
      readonly name: 'latest' | 'meta'
    }
  | {
      /** A new system key was sealed without this region of AWS KMS, which will not be able to open it. */
      readonly type: 'kms_region_left_out'
      readonly name: string
    }

const queue = new HookQueue<MetricEvent>('metrics')

/** Installs the metrics hook of this thread, or removes it. */
export function installMetricsHook(hook: ((event: MetricEvent) => void) | undefined): void {
  queue.set(hook)
  metrics.active = hook !== undefined
}

/** What the library measures while a metrics hook is installed; without one, a call of this costs a comparison. */
export const metrics = {
  /** A plain member: a chain of getters here cost each call 2 to 3 %. */
  active: false,

  /** The start of something timed; undefined while nobody listens. */
  start(): number | undefined {
    return queue.active ? performance.now() : undefined
  },

  timed(type: 'encrypt' | 'decrypt' | 'load' | 'store', started: number | undefined): void {
    if (started !== undefined)
      queue.emit({ type, durationNs: Math.round((performance.now() - started) * 1e6) })
  },

  regionLeftOut(name: string): void {
    queue.emit({ type: 'kms_region_left_out', name })
  },

  cache(type: 'cache_hit' | 'cache_miss' | 'cache_stale', name: 'latest' | 'meta'): void {
    queue.emit({ type, name })
  },
}

export type Metrics = typeof metrics
