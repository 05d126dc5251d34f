const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/**
 * Milliseconds of a duration as Go writes it (`90m`, `1h30m`, `1.5h`), or of a bare number of `bareUnitMs` each; undefined
 * for anything else. None is below 0.
 */
export function durationMs(text: string, bareUnitMs: number): number | undefined {
  const trimmed = text.trim()
  if (/^\d{1,15}$/.test(trimmed)) return Number(trimmed) * bareUnitMs
  if (!/^\+?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(trimmed)) return undefined
  let total = 0
  for (const [, count, unit = ''] of trimmed.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    total += Number(count) * (unitMs[unit] ?? Number.NaN)
  }
  return total
}
