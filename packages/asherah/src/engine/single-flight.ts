import { isPromiseLike } from '../maybe-promise.ts'
import type { TimeLimit } from './time-limit.ts'
import { drive, settled, type Work } from './work.ts'

/**
 * Lets concurrent questions of one name share one answer: a thousand sessions that start at once cause one load. Nothing
 * is kept once the answer is there.
 */
export class SingleFlight {
  readonly #limit: TimeLimit | undefined
  readonly #flights = new Map<string, PromiseLike<unknown>>()

  /** `limit`: for each wait of a flight. */
  constructor(limit?: TimeLimit) {
    this.#limit = limit
  }

  /** `T` must be shareable: a joiner gets the very value (or error) that the first one got. */
  *join<T>(name: string, start: () => Work<T>): Work<T> {
    // Over backends that answer at once there is never one: then the name need not even be hashed.
    const flight = this.#flights.size === 0 ? undefined : this.#flights.get(name)
    if (flight !== undefined) return (yield flight) as T
    const result = drive(start(), this.#limit)
    if (!isPromiseLike(result)) return result
    const forget = (): void => void this.#flights.delete(name)
    // Registered first, so that whoever waits finds nothing kept any more.
    result.then(forget, forget)
    this.#flights.set(name, result)
    return (yield result) as T
  }

  /** An answer that nobody shares, for whom none of the others' can be waited for. */
  *alone<T>(start: () => Work<T>): Work<T> {
    return yield* settled(drive(start(), this.#limit))
  }
}
