/** Where the content of a JSON string lies, without its quotes. */
export interface Span {
  readonly start: number
  readonly end: number
}

const quote = 0x22
const backslash = 0x5c
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const colon = 0x3a
const comma = 0x2c

/**
 * Finds a string in JSON text by the names on the way to it, such as `['data', 'plaintext']`, in the bytes as they came:
 * `JSON.parse` would leave what is secret in strings that nothing can overwrite. Undefined when there is none, it is no
 * string, or the text is no JSON. Names are compared as they are written.
 */
export function findString(json: Uint8Array, path: readonly string[]): Span | undefined {
  return new Scanner(json).find(path)
}

class Scanner {
  readonly #json: Uint8Array
  #at = 0

  constructor(json: Uint8Array) {
    this.#json = json
  }

  find([name, ...rest]: readonly string[]): Span | undefined {
    if (name === undefined || !this.#take(openBrace)) return undefined
    do {
      const found = this.#string()
      if (found === undefined || !this.#take(colon)) return undefined
      if (this.#reads(found, name)) return rest.length === 0 ? this.#string() : this.find(rest)
      if (!this.#skipValue()) return undefined
    } while (this.#take(comma))
    return undefined
  }

  #reads({ start, end }: Span, name: string): boolean {
    if (end - start !== name.length) return false
    for (let index = 0; index < name.length; index++) {
      if (this.#json[start + index] !== name.charCodeAt(index)) return false
    }
    return true
  }

  /** The next byte that is no white space, without taking it. */
  #next(): number | undefined {
    for (;;) {
      const byte = this.#json[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return byte
      this.#at += 1
    }
  }

  #take(byte: number): boolean {
    if (this.#next() !== byte) return false
    this.#at += 1
    return true
  }

  #string(): Span | undefined {
    if (!this.#take(quote)) return undefined
    const start = this.#at
    for (; this.#at < this.#json.length; this.#at += 1) {
      const byte = this.#json[this.#at]
      if (byte === backslash) this.#at += 1
      else if (byte === quote) {
        this.#at += 1
        return { start, end: this.#at - 1 }
      }
    }
    return undefined
  }

  #skipValue(): boolean {
    let depth = 0
    do {
      const byte = this.#next()
      if (byte === undefined) return false
      if (byte === quote) {
        if (this.#string() === undefined) return false
        continue
      }
      if (byte === openBrace || byte === openBracket) depth += 1
      else if (byte === closeBrace || byte === closeBracket) depth -= 1
      else if (depth === 0 && (byte === comma || byte === colon)) return false
      this.#at += 1
      if (depth === 0 && byte !== closeBrace && byte !== closeBracket) this.#skipLiteral()
    } while (depth > 0)
    return depth === 0
  }

  #skipLiteral(): void {
    const ends = [comma, closeBrace, closeBracket, undefined]
    while (!ends.includes(this.#json[this.#at])) this.#at += 1
  }
}

const escapes: ReadonlyMap<number, number> = new Map([
  [quote, quote],
  [backslash, backslash],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
])

/**
 * The content of the string with its escapes undone, in the same memory. Undefined for an escape that stands for no ASCII
 * character; what is looked for here has none.
 */
export function unescapeInPlace(json: Uint8Array, { start, end }: Span): Uint8Array | undefined {
  let length = 0
  for (let at = start; at < end; at += 1) {
    let byte = json[at]
    if (byte === backslash) {
      at += 1
      byte = escapes.get(json[at] ?? 0)
      if (byte === undefined) {
        byte = json[at] === 0x75 ? asciiEscape(json, at + 1, end) : undefined
        at += 4
      }
    }
    if (byte === undefined) return undefined
    json[start + length] = byte
    length += 1
  }
  return json.subarray(start, start + length)
}

/** The character of four hexadecimal digits, below 0x80. */
function asciiEscape(json: Uint8Array, at: number, end: number): number | undefined {
  if (at + 4 > end || json[at] !== 0x30 || json[at + 1] !== 0x30) return undefined
  const high = hexDigit(json[at + 2] ?? 0)
  const low = hexDigit(json[at + 3] ?? 0)
  return high < 0 || high > 7 || low < 0 ? undefined : high * 16 + low
}

/** The value of a hexadecimal digit in ASCII, or -1. */
export function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Makes the string an empty one, in place, and overwrites what it held: the text stays JSON. */
export function emptyString(json: Uint8Array, { start, end }: Span): void {
  json.fill(0x20, start, end + 1)
  json[start] = quote
}
