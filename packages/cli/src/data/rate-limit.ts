import { setTimeout as wait } from 'node:timers/promises'

/** Lets so many rows a second through, on the whole. */
export class RateLimit {
  readonly #rowsPerSecond: number | undefined
  readonly #signal: AbortSignal
  readonly #began = performance.now()
  #rows = 0

  constructor(rowsPerSecond: number | undefined, signal: AbortSignal) {
    this.#rowsPerSecond = rowsPerSecond
    this.#signal = signal
  }

  /** Waits until these rows may be followed by others; an interruption ends the wait. */
  async pass(rows: number): Promise<void> {
    if (this.#rowsPerSecond === undefined) return
    this.#rows += rows
    const due = this.#began + (this.#rows / this.#rowsPerSecond) * 1000
    const ms = due - performance.now()
    if (ms > 0) await wait(ms, undefined, { signal: this.#signal }).catch(() => undefined)
  }
}
