import { isPromiseLike } from '../maybe-promise.ts'
import { drive, settled, type Work } from './work.ts'

/**
 * Lets concurrent questions of one name share one answer: a thousand sessions that start at once cause one load. Nothing
 * is kept once the answer is there.
 */
export class SingleFlight {
  readonly #flights = new Map<string, Promise<unknown>>();

  /** `T` must be shareable: a joiner gets the very value (or error) that the first one got. */
  *join<T>(name: string, start: () => Work<T>): Work<T> {
    const flight = this.#flights.get(name) as Promise<T> | undefined
    if (flight !== undefined) return yield* settled(flight)
    const result = drive(start())
    if (!isPromiseLike(result)) return result
    const later = Promise.resolve(result).finally(() => this.#flights.delete(name))
    this.#flights.set(name, later)
    return yield* settled(later)
  }
}
