/** Where a command's answers go: text for people, or with `--json` one JSON value a line. Messages go to stderr. */
export class Output {
  readonly json: boolean
  readonly #out: NodeJS.WriteStream
  readonly #err: NodeJS.WriteStream

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

  /** A remark for people, whatever stdout is used for. */
  note(text: string): void {
    this.#err.write(`${text}\n`)
  }

  /** Waits while the reader is slow, so that a long list needs no memory. */
  async #write(text: string): Promise<void> {
    if (this.#out.write(text)) return
    await new Promise<void>((resolve) => {
      this.#out.once('drain', resolve)
    })
  }
}
