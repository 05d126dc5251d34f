/**
 * The two clocks of the library. Expiry is decided by wall-clock time, the time since a key was last checked by monotonic
 * time, so that a clock set back neither prolongs a check nor floods the metastore.
 *
 * Pass one in the configuration to test rotation without sleeping.
 *
 * @example
 * ```ts
 * let ms = Date.UTC(2026, 0, 1)
 * const clock: Clock = { now: () => ms, monotonic: () => ms }
 * const factory = new SessionFactory({ ...config, clock })
 * ms += 91 * 86_400_000 // every key is expired now
 * ```
 */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number
  /** Milliseconds that never go back, from any origin. */
  monotonic(): number
}

/** One reading of both clocks, in milliseconds. */
export interface Moment {
  readonly wallMs: number
  readonly monotonicMs: number
}

export function readClock(clock: Clock): Moment {
  return { wallMs: clock.now(), monotonicMs: clock.monotonic() }
}
