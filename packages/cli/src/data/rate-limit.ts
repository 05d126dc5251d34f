import { setTimeout as wait } from 'node:timers/promises'

/** Lets so many rows a second through, and no more after a slow while. */
export class RateLimit {
  readonly #rowsPerSecond: number | undefined
  readonly #signal: AbortSignal
  #passed = performance.now()

  constructor(rowsPerSecond: number | undefined, signal: AbortSignal) {
    this.#rowsPerSecond = rowsPerSecond
    this.#signal = signal
  }

  /** Most rows to take at once: those of a second. */
  get mostAtOnce(): number {
    return this.#rowsPerSecond ?? Number.POSITIVE_INFINITY
  }

  /** Waits until these rows may be followed by others; an interruption ends the wait. */
  async pass(rows: number): Promise<void> {
    if (this.#rowsPerSecond === undefined) return
    const ms = this.#passed + (rows / this.#rowsPerSecond) * 1000 - performance.now()
    if (ms > 0) await wait(ms, undefined, { signal: this.#signal }).catch(() => undefined)
    this.#passed = performance.now()
  }
}
