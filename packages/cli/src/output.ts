import { type Bar, type Progress, progressBar } from './progress.ts'

/** Where a command's answers go: text for people, or with `--json` one JSON value a line. Messages go to stderr. */
export class Output {
  readonly json: boolean
  readonly #out: NodeJS.WriteStream
  readonly #err: NodeJS.WriteStream
  #bar: Bar | undefined

  constructor(json: boolean, out: NodeJS.WriteStream, err: NodeJS.WriteStream) {
    this.json = json
    this.#out = out
    this.#err = err
  }

  /** One answer; of a list, one call a member. The text is made only where it is shown. */
  async tell(value: object, text: () => string): Promise<void> {
    await this.#write(`${this.json ? JSON.stringify(value) : text()}\n`)
  }

  /** Text that has no place in JSON, such as a heading. */
  async heading(text: string): Promise<void> {
    if (!this.json) await this.#write(`${text}\n`)
  }

  /** An answer where stdout is used for data: on stderr, with `--json` only. */
  tellAside(value: object): void {
    if (this.json) this.#err.write(`${JSON.stringify(value)}\n`)
  }

  /** A remark for people, whatever stdout is used for. */
  note(text: string): void {
    this.#bar?.erase()
    this.#err.write(`${this.json ? JSON.stringify({ note: text }) : text}\n`)
  }

  /** A bar on stderr where that is a terminal; what is told meanwhile stands above it. */
  progress(label: string, total: number): Progress {
    this.#bar = progressBar(this.#err, label, total)
    return this.#bar
  }

  /** Waits while the reader is slow, so that a long list needs no memory. */
  async #write(text: string): Promise<void> {
    if (this.#out.isTTY) this.#bar?.erase()
    if (this.#out.write(text)) return
    await new Promise<void>((resolve) => {
      this.#out.once('drain', resolve)
    })
  }
}
