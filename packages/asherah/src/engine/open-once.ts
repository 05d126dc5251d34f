import type { MaybePromise } from '../maybe-promise.ts'
import { SingleFlight } from './single-flight.ts'
import { settled, type Work } from './work.ts'

/** Something that is opened when it is first needed, once; an opening that failed is tried again. */
export class OpenOnce<T> {
  readonly #open: () => MaybePromise<T>
  readonly #flight = new SingleFlight()
  #value: { readonly opened: T } | undefined

  constructor(open: () => MaybePromise<T>) {
    this.#open = open
  }

  get opened(): T | undefined {
    return this.#value?.opened
  }

  *get(): Work<T> {
    if (this.#value !== undefined) return this.#value.opened
    return yield* this.#flight.join('open', () => this.#openNow())
  }

  *#openNow(): Work<T> {
    const opened = yield* settled(this.#open())
    this.#value = { opened }
    return opened
  }
}
