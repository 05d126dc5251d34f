import { AsherahError } from '../errors.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { SingleFlight } from './single-flight.ts'
import { settled, type Work } from './work.ts'

/** What is opened when it is first needed. */
export interface Opening<T> {
  /** Undefined until it is open, and after it was closed. */
  readonly opened: T | undefined
  get(): Work<T>
}

/** Something that is opened when it is first needed, once; an opening that failed is tried again. */
export class OpenOnce<T> implements Opening<T> {
  readonly #open: () => MaybePromise<T>
  readonly #flight = new SingleFlight()
  #opening = false
  #closed = false
  #value: { readonly opened: T } | undefined

  constructor(open: () => MaybePromise<T>) {
    this.#open = open
  }

  get opened(): T | undefined {
    return this.#value?.opened
  }

  *get(): Work<T> {
    if (this.#closed) throw new AsherahError('ERR_CLOSED', 'The factory was closed: make a new one.')
    if (this.#value !== undefined) return this.#value.opened
    return yield* this.#flight.join('open', () => this.#openNow())
  }

  /** Ends what was opened, or is still being opened; nothing is opened any more. */
  *close(end: (opened: T) => Work<void>): Work<void> {
    this.#closed = true
    if (this.#opening) {
      try {
        yield* this.#flight.join('open', () => this.#openNow())
      } catch {
        // What was not opened need not be ended; whoever waited for it was told.
      }
    }
    const value = this.#value
    this.#value = undefined
    if (value !== undefined) yield* end(value.opened)
  }

  *#openNow(): Work<T> {
    this.#opening = true
    try {
      const opened = yield* settled(this.#open())
      this.#value = { opened }
      return opened
    } finally {
      this.#opening = false
    }
  }
}
