import { type Figure, type Figures, median, middleHalf, type Verdict } from './figure.ts'
import type { Machine } from './machine.ts'

/** A run as the JSON file has it. Figures are medians of `rounds`, in their unit. */
export interface Report {
  readonly started: string
  readonly quick: boolean
  readonly machine: Machine
  readonly loadBefore: number
  readonly loadAfter: number
  readonly figures: readonly (Figure & { readonly median: number; readonly verdict: Verdict | undefined })[]
}

type Conditions = Omit<Report, 'figures'>

export function makeReport(conditions: Conditions, figures: Figures): Report {
  const judged = figures.all.map((figure) => ({
    ...figure,
    median: median(figure.rounds),
    verdict: figures.verdict(figure),
  }))
  return { ...conditions, figures: judged }
}

/** The table for the terminal. */
export function table(report: Report): string {
  const { machine } = report
  const lines = [
    `${machine.processor}, ${machine.processors} processors, ${machine.memoryGiB} GiB; ${machine.system}`,
    `Node ${machine.node}, host's Node ${machine.hostNode}, ${machine.rust}; load ${report.loadBefore} before, ${report.loadAfter} after`,
    '',
    row(['median of the rounds', 'median', 'middle half', 'against', 'is', 'bar', '']),
  ]
  let group = ''
  for (const figure of report.figures) {
    if (figure.group !== group) lines.push('')
    group = figure.group
    lines.push(row(cells(figure)))
  }
  return lines.join('\n')
}

/** One line that counts the marks. */
export function summary(report: Report): string {
  const judged = report.figures.flatMap(({ verdict }) => (verdict?.met === undefined ? [] : [verdict]))
  const missed = judged.filter(({ met }) => met === false)
  const counts = `${judged.length - missed.length} of ${judged.length} bars reached`
  const busy = Math.max(report.loadBefore, report.loadAfter) > report.machine.processors
  const notes = [
    ...(report.quick ? ['a quick run: rough figures'] : []),
    ...(busy ? ['the machine was busy: repeat it on a quiet one'] : []),
  ]
  return [counts, ...notes].join('; ')
}

function cells(figure: Report['figures'][number]): readonly string[] {
  const { name, rounds, unit, verdict } = figure
  const spread = middleHalf(rounds).map(digits).join(' – ')
  const own = [name, `${digits(figure.median)} ${unit}`, spread]
  if (verdict === undefined) return own
  const { against = '', by, value, most, least, met } = verdict
  const shown =
    by === 'ratio' ? `× ${value.toFixed(2)}` : `${by === 'difference' ? '+ ' : ''}${digits(value)} ${unit}`
  const limit = most ?? least
  const bar =
    limit === undefined
      ? ''
      : `${most === undefined ? '≥' : '≤'} ${digitsOfBar(limit)}${by === 'ratio' ? '' : ` ${unit}`}`
  return [...own, against, shown, bar, met === undefined ? '' : met ? '✔' : '✖']
}

function digitsOfBar(value: number): string {
  return String(Math.round(value * 100) / 100)
}

function digits(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1)
}

const widths = [-62, 11, 17, -36, 10, 8, 2]

function row(columns: readonly string[]): string {
  const padded = columns.map((column, index) => {
    const width = widths[index] ?? 0
    return width < 0 ? column.padEnd(-width) : column.padStart(width)
  })
  return padded.join('  ').trimEnd()
}
