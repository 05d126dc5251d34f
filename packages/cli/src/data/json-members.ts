/** Where a member's value is in the text of its object. */
export interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Where the values of an object are in its own text, by name, so that one can be replaced and all else stay as it was
 * written: `1.0`, `1e2`, numbers beyond 2^53, white space.
 *
 * @returns undefined when the text is another JSON value, or has a member twice
 * @throws SyntaxError when the text is not JSON
 */
export function memberSpans(text: string): ReadonlyMap<string, Span> | undefined {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  // The text is known to be JSON, so quotes and brackets are enough to find where things end.
  const spans = new Map<string, Span>()
  let at = text.indexOf('{') + 1
  for (;;) {
    const quote = text.indexOf('"', at)
    // What is left behind the last value is a bracket and white space.
    if (quote < 0) return spans
    const nameEnd = endOfString(text, quote)
    const name = JSON.parse(text.slice(quote, nameEnd)) as string
    const from = text.indexOf(':', nameEnd) + 1
    const to = endOfValue(text, from)
    if (spans.has(name)) return undefined
    const raw = text.slice(from, to)
    const start = from + raw.length - raw.trimStart().length
    spans.set(name, { start, end: start + raw.trim().length })
    at = to
  }
}

function endOfString(text: string, quote: number): number {
  let at = quote + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function endOfValue(text: string, from: number): number {
  let depth = 0
  let at = from
  for (;;) {
    const unit = text[at]
    if (unit === '"') {
      at = endOfString(text, at)
      continue
    }
    if (depth === 0 && (unit === ',' || unit === '}')) return at
    if (unit === '{' || unit === '[') depth += 1
    else if (unit === '}' || unit === ']') depth -= 1
    at += 1
  }
}
