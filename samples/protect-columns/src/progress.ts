import type { Terminal } from './terminal.ts'
import { whole } from './units.ts'

const redrawMs = 50
const lineMs = 2000

/** How far one pass over the file has come: a bar that is drawn over, or a line now and then where that is impossible. */
export class Progress {
  readonly #terminal: Terminal
  readonly #title: string
  readonly #start = performance.now()
  #shown: number

  constructor(terminal: Terminal, title: string) {
    this.#terminal = terminal
    this.#title = title
    this.#shown = terminal.redraws ? 0 : this.#start
  }

  /** `share` of the file, from 0 to 1. */
  show(share: number, rows: number): void {
    const now = performance.now()
    if (now - this.#shown < (this.#terminal.redraws ? redrawMs : lineMs)) return
    this.#shown = now
    const seconds = Math.max(now - this.#start, 1) / 1000
    const percent = `${Math.floor(share * 100)}%`.padStart(4)
    const counts = `${percent}  ${whole(rows)} rows  ${whole(rows / seconds)}/s`
    if (!this.#terminal.redraws) {
      this.#terminal.line(`${this.#title}  ${counts}`)
      return
    }
    const left = Math.ceil(seconds / Math.max(share, 1e-6) - seconds)
    const cells = Math.max(10, Math.min(40, this.#terminal.width - 60))
    const full = Math.round(share * cells)
    const bar = `${this.#terminal.green('█'.repeat(full))}${this.#terminal.dim('░'.repeat(cells - full))}`
    this.#terminal.redraw(`${this.#title}  ${bar} ${counts}  ${left} s left`)
  }

  done(rows: number): void {
    const seconds = Math.max(performance.now() - this.#start, 1) / 1000
    const text = `${this.#title}  ${whole(rows)} rows in ${seconds.toFixed(2)} s, ${whole(rows / seconds)} a second`
    this.#terminal.clear()
    this.#terminal.line(text)
  }
}
