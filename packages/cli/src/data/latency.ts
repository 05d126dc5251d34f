import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Bounds of the drawing's bars in nanoseconds: 1, 2, 5, 10 and so on, from 100 ns to 10 s. */
const bounds: readonly number[] = Array.from({ length: 9 }, (_, decade) => 10 ** (decade + 2)).flatMap(
  (unit) => [unit, 2 * unit, 5 * unit],
)

/** Latencies of one operation, in nanoseconds. */
export interface LatencyFigures {
  readonly operations: number
  readonly perSecond: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

/** Takes latencies, and shows them as numbers and as bars. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram()
  readonly #bars = new Uint32Array(bounds.length + 1)
  #milliseconds = 0

  /** What one operation took, in milliseconds as `performance.now()` counts them. */
  add(milliseconds: number): void {
    const nanoseconds = Math.max(1, Math.round(milliseconds * 1e6))
    this.#histogram.record(nanoseconds)
    this.#milliseconds += milliseconds
    const found = bounds.findIndex((bound) => nanoseconds <= bound)
    const bar = found < 0 ? bounds.length : found
    this.#bars[bar] = (this.#bars[bar] ?? 0) + 1
  }

  figures(): LatencyFigures {
    const histogram = this.#histogram
    const { count } = histogram
    return {
      operations: count,
      perSecond: Math.round(count / (this.#milliseconds / 1000)),
      mean: Math.round(histogram.mean),
      p50: histogram.percentile(50),
      p90: histogram.percentile(90),
      p99: histogram.percentile(99),
      p999: histogram.percentile(99.9),
      max: histogram.max,
    }
  }

  /** One line for each range that has any, and those between. */
  drawing(width: number): readonly string[] {
    const bars = [...this.#bars]
    const first = bars.findIndex((count) => count > 0)
    const last = bars.findLastIndex((count) => count > 0)
    const most = Math.max(...bars)
    return bars.slice(first, last + 1).map((count, index) => {
      const bound = bounds[first + index]
      const label = bound === undefined ? 'more' : `≤ ${shownNanoseconds(bound)}`
      return `${label.padStart(9)}  ${drawnBar(count / most, width).padEnd(width)}  ${count}`.trimEnd()
    })
  }
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A bar to an eighth of a character; whatever is not nothing can be seen. */
function drawnBar(share: number, width: number): string {
  const units = share === 0 ? 0 : Math.max(1, Math.round(share * width * 8))
  return '█'.repeat(Math.floor(units / 8)) + (eighths[units % 8] ?? '')
}

export function shownNanoseconds(nanoseconds: number): string {
  if (nanoseconds < 1e3) return `${nanoseconds} ns`
  if (nanoseconds < 1e6) return `${rounded(nanoseconds / 1e3)} µs`
  return nanoseconds < 1e9 ? `${rounded(nanoseconds / 1e6)} ms` : `${rounded(nanoseconds / 1e9)} s`
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(3)))
}
