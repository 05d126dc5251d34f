import type { Clock } from 'asherah'

const dayMs = 86_400_000

/** Of the library's default policy. */
export const expiryDays = 90
/** Short of the expiry, so that some leaps only make keys due for a check and others make them expire. */
const leapDays = 30
const leaps = 8
/** What a run moves its clock by: more than two expiries. */
export const spanDays = leapDays * leaps

/** A clock that runs as the machine's, and leaps ahead by a month when the work has come far enough. */
export class MovingClock implements Clock {
  readonly #startMs: number
  readonly #origin = performance.now()
  #leapt = 0

  /** Begins so that a run ends today; but never before `earliestMs`, where the run before has ended. */
  constructor(earliestMs: number) {
    this.#startMs = Math.max(Date.now() - spanDays * dayMs, earliestMs)
  }

  now(): number {
    return this.#startMs + this.monotonic()
  }

  monotonic(): number {
    return Math.floor(performance.now() - this.#origin) + this.#leapt * leapDays * dayMs
  }

  /** `share` of the work is done, from 0 to 1. */
  moveTo(share: number): void {
    this.#leapt = Math.max(this.#leapt, Math.min(leaps, Math.floor(share * (leaps + 1))))
  }
}
