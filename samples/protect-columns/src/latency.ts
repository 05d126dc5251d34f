import { createHistogram } from 'node:perf_hooks'

/** What calls took, in bounded memory however many they were. */
export class Latency {
  readonly #histogram = createHistogram()

  get calls(): number {
    return this.#histogram.count
  }

  /** Of the calls alone, one after the other. */
  get perSecond(): number {
    return this.calls === 0 ? 0 : 1e9 / this.#histogram.mean
  }

  get maxNs(): number {
    return this.#histogram.max
  }

  timed<T>(call: () => T): T {
    const start = performance.now()
    const result = call()
    this.#histogram.record(Math.max(1, Math.round((performance.now() - start) * 1e6)))
    return result
  }

  percentileNs(percentile: number): number {
    return this.#histogram.percentile(percentile)
  }
}
