import { printableLines } from './printable.ts'
import { type Bar, type Progress, progressBar } from './progress.ts'
import { ReaderGone, writeOut } from './standard-output.ts'

/** Where a command's answers go: text for people, or with `--json` one JSON value a line. Messages go to stderr. */
export class Output {
  readonly json: boolean
  readonly #goesOn: boolean
  readonly #out: NodeJS.WriteStream
  readonly #err: NodeJS.WriteStream
  #bar: Bar | undefined
  #unread = false

  /** @param goesOn whether the command goes on when nobody reads its answers any more, since it changes what exists. */
  constructor(json: boolean, goesOn: boolean, out: NodeJS.WriteStream, err: NodeJS.WriteStream) {
    this.json = json
    this.#goesOn = goesOn
    this.#out = out
    this.#err = err
  }

  /** One answer; of a list, one call a member. The text is made only where it is shown. */
  async tell(value: object, text: () => string): Promise<void> {
    await this.#write(`${this.json ? JSON.stringify(value) : printableLines(text())}\n`)
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
    this.#err.write(`${this.json ? JSON.stringify({ note: text }) : printableLines(text)}\n`)
  }

  /** A bar on stderr where that is a terminal; what is told meanwhile stands above it. */
  progress(label: string, total: number): Progress {
    this.#bar = progressBar(this.#err, label, total)
    return this.#bar
  }

  async #write(text: string): Promise<void> {
    if (this.#unread) return
    if (this.#out.isTTY) this.#bar?.erase()
    try {
      await writeOut(this.#out, text)
    } catch (error) {
      if (!(error instanceof ReaderGone && this.#goesOn)) throw error
      this.#unread = true
    }
  }
}
