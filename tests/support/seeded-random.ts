import { randomInt } from 'node:crypto'

/** The variable that repeats a run: the seed that the run before printed. */
export const seedVariable = 'ASHERAH_TEST_SEED'

/** Numbers that look random and can be had again: `seed` is to be printed. */
export class SeededRandom {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed
    this.#state = seed >>> 0
  }

  /** With the seed of {@link seedVariable}, or a new one. */
  static fromEnvironment(): SeededRandom {
    const given = process.env[seedVariable] ?? ''
    return new SeededRandom(given === '' ? randomInt(2 ** 32) : Number(given))
  }

  /** One of its own for a part that runs beside others, so that their order does not change its numbers. */
  fork(label: string): SeededRandom {
    let hash = this.seed
    for (const letter of label) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193)
    return new SeededRandom(hash >>> 0)
  }

  /** At least 0, below 1. The generator is mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, at least `least`, below `end`. */
  between(least: number, end: number): number {
    return least + Math.floor(this.next() * (end - least))
  }

  pick<T>(values: readonly [T, ...(readonly T[])]): T {
    return values[this.between(0, values.length)] ?? values[0]
  }
}
