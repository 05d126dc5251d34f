/** How a figure is judged: by itself, or against another figure of the same run. */
export interface Comparison {
  /** The other figure's name; absent when the figure is compared with its bar alone. */
  readonly against?: string
  /** `ratio`: times the other. `difference`: more than the other. `value`: the figure itself. */
  readonly by: 'ratio' | 'difference' | 'value'
  /** The bar: the most that the ratio, difference or value should be. */
  readonly most?: number
  /** The bar from the other side: the least that it should be. */
  readonly least?: number
}

/** What is measured, before there are numbers. */
export interface Measurand {
  readonly name: string
  readonly group: string
  readonly unit: 'ns' | 'ms' | 'B'
  readonly comparison?: Comparison
}

/** One number a round. Rounds of one run belong together: the first of this figure was taken beside the first of others. */
export interface Figure extends Measurand {
  readonly rounds: readonly number[]
}

/** A figure against its bar. */
export interface Verdict {
  readonly figure: string
  readonly against: string | undefined
  readonly by: Comparison['by']
  readonly value: number
  readonly most: number | undefined
  readonly least: number | undefined
  /** Undefined without a bar. */
  readonly met: boolean | undefined
}

/** Collects rounds while they come. */
export class Figures {
  readonly #figures = new Map<string, { readonly measurand: Measurand; readonly rounds: number[] }>()

  add(measurand: Measurand, value: number): void {
    const known = this.#figures.get(measurand.name)
    if (known === undefined) this.#figures.set(measurand.name, { measurand, rounds: [value] })
    else known.rounds.push(value)
  }

  get all(): readonly Figure[] {
    return [...this.#figures.values()].map(({ measurand, rounds }) => ({ ...measurand, rounds }))
  }

  /** Undefined when the figure is compared with nothing, or with what was not measured. */
  verdict(figure: Figure): Verdict | undefined {
    const { comparison } = figure
    if (comparison === undefined) return undefined
    const { against, by, most, least } = comparison
    const value = against === undefined ? median(figure.rounds) : this.#compared(figure, against, by)
    if (value === undefined) return undefined
    return {
      figure: figure.name,
      against,
      by,
      value,
      most,
      least,
      met:
        most === undefined && least === undefined
          ? undefined
          : value <= (most ?? Number.POSITIVE_INFINITY) && value >= (least ?? Number.NEGATIVE_INFINITY),
    }
  }

  /** Neighbours in time are compared, so that a slow minute of the machine weighs on both. */
  #compared(figure: Figure, against: string, by: Comparison['by']): number | undefined {
    const other = this.#figures.get(against)?.rounds
    if (other === undefined) return undefined
    const pairs = figure.rounds.flatMap((value, round) => {
      const beside = other[round]
      return beside === undefined ? [] : [by === 'ratio' ? value / beside : value - beside]
    })
    return pairs.length === 0 ? undefined : median(pairs)
  }
}

/** The middle number. */
export function median(numbers: readonly number[]): number {
  return ranked(numbers, (last) => Math.round(last / 2))
}

/** The bounds of the middle half. */
export function middleHalf(numbers: readonly number[]): readonly [low: number, high: number] {
  return [
    ranked(numbers, (last) => Math.floor(last / 4)),
    ranked(numbers, (last) => Math.ceil((last * 3) / 4)),
  ]
}

function ranked(numbers: readonly number[], rank: (last: number) => number): number {
  const value = numbers.toSorted((one, other) => one - other)[rank(numbers.length - 1)]
  if (value === undefined) throw new Error('nothing was measured')
  return value
}
