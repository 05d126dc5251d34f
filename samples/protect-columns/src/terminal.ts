/** How to write for whoever reads: colours and redrawing for a terminal only, and no control code of the data's ever. */
export class Terminal {
  readonly #out: NodeJS.WriteStream
  readonly #colours: boolean
  /** Whether a line can be drawn over. */
  readonly redraws: boolean

  constructor(out: NodeJS.WriteStream, environment: NodeJS.ProcessEnv) {
    this.#out = out
    this.redraws = out.isTTY === true && environment['TERM'] !== 'dumb'
    this.#colours = this.redraws && (environment['NO_COLOR'] ?? '') === ''
  }

  get width(): number {
    return this.redraws ? Math.min(this.#out.columns ?? 80, 110) : 100
  }

  line(text = ''): void {
    this.#out.write(`${text}\n`)
  }

  /** Draws over the current line. */
  redraw(text: string): void {
    this.#out.write(`\r\u001b[K${text}`)
  }

  /** Empties the current line, if it can. */
  clear(): void {
    if (this.redraws) this.redraw('')
  }

  bold(text: string): string {
    return this.#styled(1, text)
  }

  dim(text: string): string {
    return this.#styled(2, text)
  }

  green(text: string): string {
    return this.#styled(32, text)
  }

  #styled(code: number, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}

/** The text with every control character made visible, so that data can neither move the cursor nor begin a line. */
export function visible(text: string): string {
  return text.replace(/\p{Cc}|[\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

/** At most `length` characters, the middle left out. */
export function shortened(text: string, length: number): string {
  const characters = Array.from(visible(text.slice(0, 2 * length)))
  if (text.length <= 2 * length && characters.length <= length) return characters.join('')
  const tail = Array.from(visible(text.slice(-length)))
  const kept = Math.floor(length / 4)
  return `${characters.slice(0, length - kept - 1).join('')}…${tail.slice(-kept).join('')}`
}
