/** A value that was read, or what is wrong with its text, as the rest of a sentence. */
export type ParsedText = { readonly value: unknown } | { readonly problem: string }

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}
const term = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|[smhdw])/g
const duration = new RegExp(`^\\+?(?:${term.source})+$`)

/**
 * Milliseconds of a duration as Go's `time.ParseDuration` reads it (`90m`, `1h30m`, `1.5h`), days and weeks as well;
 * undefined for anything else. None is below 0. A bare number is a duration only where `bareUnitMs` says what it counts.
 *
 * @example
 * parseDuration('1h30m') // 5_400_000
 * parseDuration('90', 1000) // 90_000
 */
export function parseDuration(text: string, bareUnitMs?: number): number | undefined {
  const trimmed = text.trim()
  if (bareUnitMs !== undefined && /^\d{1,15}$/.test(trimmed)) return Number(trimmed) * bareUnitMs
  if (!duration.test(trimmed)) return undefined
  let total = 0
  for (const [, count, unit = ''] of trimmed.matchAll(term))
    total += Number(count) * (unitMs[unit] ?? Number.NaN)
  return total <= Number.MAX_SAFE_INTEGER ? total : undefined
}

/** `true`, `yes`, `on`, `1` or their opposites, in any case. */
export function parseBoolean(text: string): ParsedText {
  if (/^(?:1|true|yes|on)$/i.test(text)) return { value: true }
  return /^(?:0|false|no|off)$/i.test(text) ? { value: false } : { problem: 'must be true or false' }
}

/** The items of `a, b`; empty ones do not count. */
export function parseList(text: string): readonly string[] {
  return text.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()]))
}

/**
 * An object of texts: `a=1, b=2`, or JSON. What JSON holds is not looked at.
 *
 * @param shape how one of the pairs is called in a problem, such as `REGION=ARN`.
 */
export function parseMap(text: string, shape: string): ParsedText {
  if (text.trimStart().startsWith('{')) {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      // The parser's own message would show a piece of the text.
      return { problem: `begins as a JSON object and is none; type ${shape},${shape}` }
    }
  }
  const members = parseList(text).map((member) => {
    const equals = member.indexOf('=')
    return [member.slice(0, Math.max(equals, 0)).trim(), member.slice(equals + 1).trim()] as const
  })
  return members.length === 0 || members.some(([name, value]) => name === '' || value === '')
    ? { problem: `must be ${shape},${shape} or a JSON object` }
    : { value: Object.fromEntries(members) }
}
