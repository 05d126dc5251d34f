import type { Moment } from '../clock.ts'
import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'

/** How old keys may grow and how often they are looked at again. All in seconds. */
export interface RotationSettings {
  readonly expireAfterSeconds: number
  readonly checkIntervalSeconds: number
  readonly createdPrecisionSeconds: number
}

/** When a key in the ring is to be looked at again, in monotonic milliseconds. */
export interface Freshness {
  readonly checkAfterMs: number
  readonly overdueAfterMs: number
}

/** A fresh key may be dated this many precision steps ahead of the clock, to come after an unusable one. */
const mostStepsAhead = 5

/** A parent that cannot be checked must not have its children checked without a pause. */
const soonestCheckMs = 10_000

/** Decides when keys expire, when they are checked and how new ones are dated. */
export class RotationPolicy {
  readonly #settings: RotationSettings

  constructor(settings: RotationSettings) {
    this.#settings = settings
  }

  /** Wall-clock milliseconds at which a key of this age stops encrypting. It never stops decrypting. */
  expiresAtMs(createdSeconds: number): number {
    return (createdSeconds + this.#settings.expireAfterSeconds) * 1000
  }

  /** Whether the row's own dates allow encryption; its parent is another question. A date in the future does. */
  isValid(row: EnvelopeKeyRecord, wallMs: number): boolean {
    return row.revoked !== true && wallMs < this.expiresAtMs(row.created)
  }

  /**
   * Freshness of a key whose row was read at `at`. Shortened by up to a tenth at random, so that keys loaded together are
   * not checked together; never lengthened, so that twice the interval stays a bound. No later than that of `parent`: a
   * revoked parent is seen only when its child is checked.
   */
  freshness(at: Moment, parent?: Freshness): Freshness {
    const intervalMs = this.#settings.checkIntervalSeconds * 1000 * (1 - Math.random() / 10)
    const own = {
      checkAfterMs: Math.floor(at.monotonicMs + intervalMs),
      overdueAfterMs: Math.floor(at.monotonicMs + 2 * intervalMs),
    }
    if (parent === undefined) return own
    const soonestMs = Math.floor(at.monotonicMs + soonestCheckMs)
    return {
      checkAfterMs: Math.min(own.checkAfterMs, Math.max(parent.checkAfterMs, soonestMs)),
      overdueAfterMs: Math.min(own.overdueAfterMs, Math.max(parent.overdueAfterMs, soonestMs)),
    }
  }

  /**
   * Date of a new key, in Unix seconds: the clock's, truncated, but after the unusable latest key, so that the new one
   * neither collides with it nor hides behind it.
   */
  createdFor(wallMs: number, unusableLatest: number | undefined): number {
    const step = this.#settings.createdPrecisionSeconds
    const now = Math.floor(wallMs / 1000 / step) * step
    if (unusableLatest === undefined || unusableLatest < now) return now
    const created = unusableLatest + step
    if (created > now + mostStepsAhead * step) {
      throw new AsherahError(
        'ERR_KEY_TIME',
        `The latest key is unusable and dated ${unusableLatest - now} s ahead of this clock, so that a new key would ` +
          'hide behind it. Set the clock right, or delete that row from the metastore.',
      )
    }
    return created
  }
}
