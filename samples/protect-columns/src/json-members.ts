/**
 * The members of a JSON object by name, each value as its own source text, so that `1.0`, `1e2` and numbers beyond 2^53
 * come back as they were written.
 *
 * @returns undefined when the text is another JSON value or has a member twice
 * @throws SyntaxError when the text is not JSON
 */
export function jsonMembers(text: string): Map<string, string> | undefined {
  const value: unknown = JSON.parse(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  // From here on the text is known to be valid, so brackets and quotes are enough to find the ends.
  const members = new Map<string, string>()
  let at = text.indexOf('{') + 1
  for (;;) {
    const opening = text.indexOf('"', at)
    if (opening < 0 || !isBlank(text.slice(at, opening).replace(',', ''))) return members
    const closing = stringEnd(text, opening)
    const name = JSON.parse(text.slice(opening, closing)) as string
    const start = text.indexOf(':', closing) + 1
    at = valueEnd(text, start)
    if (members.has(name)) return undefined
    members.set(name, text.slice(start, at).trim())
  }
}

function isBlank(text: string): boolean {
  return text.trim() === ''
}

/** Behind the quote that closes the string which opens at `from`. */
function stringEnd(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    const unit = text[at]
    if (unit === '\\') at++
    else if (unit === '"') return at + 1
  }
}

/** Where the value ends: at the comma or bracket that belongs to the object around it. */
function valueEnd(text: string, from: number): number {
  let depth = 0
  for (let at = from; ; at++) {
    const unit = text[at]
    if (unit === '"') at = stringEnd(text, at) - 1
    else if (unit === '{' || unit === '[') depth++
    else if (depth === 0 && (unit === ',' || unit === '}')) return at
    else if (unit === '}' || unit === ']') depth--
  }
}
