import type { PoolConfig } from '../../config/metastore-settings.ts'
import { AsherahError } from '../../errors.ts'

const consistencies = ['eventual', 'global', 'session'] as const

/** What the SQL metastores take besides a connection string or a pool. */
export interface SqlMetastoreOptions {
  /**
   * How far an Aurora replica that forwards writes may lag behind: `eventual`, `session` or `global`. Set on every
   * connection; absent: the server's default.
   */
  readonly replicaReadConsistency?: 'eventual' | 'global' | 'session'
  /** How long a connection may take until the server has let the account in, in milliseconds; 5,000 unless said. */
  readonly connectTimeoutMs?: number
  /** How long a call may wait for a free connection, and then for its answer, in milliseconds each; 10,000 unless said. */
  readonly queryTimeoutMs?: number
}

/** {@link SqlMetastoreOptions} for a pool that the metastore itself makes. */
export interface SqlPoolOptions extends SqlMetastoreOptions {
  /** Connections open at most (0: as many as the server lets in), kept while idle at most, and for how many seconds (0: no end). */
  readonly pool?: Partial<PoolConfig>
}

export interface CheckedOptions {
  readonly replicaReadConsistency: 'eventual' | 'global' | 'session' | undefined
  readonly connectTimeoutMs: number
  readonly queryTimeoutMs: number
  readonly pool: PoolConfig
}

/** The options with their defaults. */
export function checkOptions(options: SqlPoolOptions): CheckedOptions {
  const { replicaReadConsistency, connectTimeoutMs = 5_000, queryTimeoutMs = 10_000, pool = {} } = options
  if (replicaReadConsistency !== undefined && !consistencies.includes(replicaReadConsistency)) {
    throw new AsherahError(
      'ERR_CONFIG_INVALID',
      `replicaReadConsistency must be one of ${consistencies.join(', ')}.`,
    )
  }
  return {
    replicaReadConsistency,
    connectTimeoutMs: wholeNumber('connectTimeoutMs', connectTimeoutMs, 1, 0x7fff_ffff),
    queryTimeoutMs: wholeNumber('queryTimeoutMs', queryTimeoutMs, 1, 0x7fff_ffff),
    pool: {
      maxOpen: wholeNumber('pool.maxOpen', pool.maxOpen ?? 0, 0, Number.MAX_SAFE_INTEGER),
      maxIdle: wholeNumber('pool.maxIdle', pool.maxIdle ?? 2, 0, Number.MAX_SAFE_INTEGER),
      maxLifetimeSeconds: wholeNumber('pool.maxLifetimeSeconds', pool.maxLifetimeSeconds ?? 0, 0, 1e10),
      maxIdleTimeSeconds: wholeNumber('pool.maxIdleTimeSeconds', pool.maxIdleTimeSeconds ?? 0, 0, 1e10),
    },
  }
}

function wholeNumber(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new AsherahError('ERR_CONFIG_INVALID', `${name} must be a whole number from ${min} to ${max}.`)
}
