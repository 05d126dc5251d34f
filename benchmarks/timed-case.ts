import type { Measurand } from './figure.ts'

/** Something whose calls are timed. */
export interface TimedCase extends Measurand {
  readonly unit: 'ns'
  /** Makes so many calls, one after the other unless the case is about calls in flight. */
  readonly run: (calls: number) => void | Promise<void>
  /** Another figure of the same times, with a comparison of its own. */
  readonly also?: Pick<Measurand, 'name' | 'comparison'>
  /** So many calls a round; by default as many as fill the round. */
  readonly calls?: number
  /** So many calls before the clock starts; by default as many as then count. */
  readonly warmUp?: number
}

/** Cases of one group, with what ends them. */
export interface CaseGroup {
  readonly cases: readonly TimedCase[]
  close(): void
}

/** A processor that has idled runs slowly for about a tenth of a second, which would be the first figure's misfortune. */
const wakingMs = 150

/** Keeps this thread's processor busy until it runs at its speed. */
export function wakeProcessor(): void {
  const end = performance.now() + wakingMs
  while (performance.now() < end);
}

/** Runs one call again and again. */
export function repeatedly(call: () => unknown): (calls: number) => void {
  return (calls) => {
    for (let index = 0; index < calls; index++) call()
  }
}

/** Awaits one call after the other. */
export function awaited(call: () => Promise<unknown>): (calls: number) => Promise<void> {
  return async (calls) => {
    for (let index = 0; index < calls; index++) await call()
  }
}

/** Keeps `width` calls in flight: each, when it ends, is followed by the next. */
export function inFlight(width: number, call: () => Promise<unknown>): (calls: number) => Promise<void> {
  return async (calls) => {
    let left = calls
    const lane = async (): Promise<void> => {
      for (; left > 0; ) {
        left -= 1
        await call()
      }
    }
    await Promise.all(Array.from({ length: width }, lane))
  }
}

/** Gives its items in turn, for ever. */
export class Turns<T> {
  readonly #items: readonly T[]
  #next = 0

  constructor(items: readonly T[]) {
    this.#items = items
  }

  next(): T {
    const item = this.#items[this.#next]
    if (item === undefined) throw new Error('there is nothing to take turns with')
    this.#next = this.#next + 1 === this.#items.length ? 0 : this.#next + 1
    return item
  }
}

/** Times cases round by round. */
export class Stopwatch {
  readonly #roundMs: number
  readonly #calls = new Map<TimedCase, number>()

  constructor(roundMs: number) {
    this.#roundMs = roundMs
  }

  /** Nanoseconds for each call of one round. */
  async round(timed: TimedCase): Promise<number> {
    const calls = await this.#callsOf(timed)
    // As long as the round itself: while another process is measured, V8 gives memory of this one back.
    const warmUp = timed.warmUp ?? calls
    if (warmUp > 0) await timed.run(warmUp)
    return (await this.#time(timed, calls)) / calls
  }

  async #time(timed: TimedCase, calls: number): Promise<number> {
    const start = process.hrtime.bigint()
    const running = timed.run(calls)
    if (running !== undefined) await running
    return Number(process.hrtime.bigint() - start)
  }

  /** Doubles the calls until they fill a round, which also lets the compiler see them. */
  async #callsOf(timed: TimedCase): Promise<number> {
    const known = timed.calls ?? this.#calls.get(timed)
    if (known !== undefined) return known
    let calls = 512
    // The shorter of two, since a call that was interrupted says nothing.
    const shortest = async (): Promise<number> =>
      Math.min(await this.#time(timed, calls), await this.#time(timed, calls))
    while ((await shortest()) < this.#roundMs * 1e6) calls *= 2
    this.#calls.set(timed, calls)
    return calls
  }
}
