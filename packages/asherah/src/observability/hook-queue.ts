import { isPromiseLike } from '../maybe-promise.ts'

/** Events that wait for a hook; more are dropped and counted (the size that the peers use, contract section 6.5). */
const capacity = 4096

/**
 * Brings events to a hook of the user's without letting it slow down, break or outlive the caller: events wait in a
 * bounded queue and are delivered in a turn of the event loop of their own, which does not keep the process alive.
 */
export class HookQueue<Event> {
  readonly #name: string
  #hook: ((event: Event) => void) | undefined
  #waiting: Event[] = []
  #scheduled = false
  #dropped = 0
  #warned = false

  constructor(name: string) {
    this.#name = name
  }

  /** Whether a hook is installed: what the hot path asks. */
  get active(): boolean {
    return this.#hook !== undefined
  }

  /** Events that were dropped because the hook could not keep up. */
  get dropped(): number {
    return this.#dropped
  }

  set(hook: ((event: Event) => void) | undefined): void {
    this.#hook = hook
    if (hook === undefined) this.#waiting = []
  }

  emit(event: Event): void {
    if (this.#hook === undefined) return
    if (this.#waiting.length >= capacity) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(event)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#deliver()).unref()
  }

  #deliver(): void {
    this.#scheduled = false
    const events = this.#waiting
    this.#waiting = []
    for (const event of events) {
      try {
        // Read anew each time: a hook may replace or remove itself.
        const answer: unknown = this.#hook?.(event)
        // An asynchronous hook's rejection would end the process.
        if (isPromiseLike(answer)) answer.then(undefined, (error: unknown) => this.#warnOnce(error))
      } catch (error) {
        this.#warnOnce(error)
      }
    }
  }

  #warnOnce(error: unknown): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(`The ${this.#name} hook threw (told once): ${textOf(error)}`, 'AsherahWarning')
  }
}

/** Not everything that can be thrown can be made into text. */
function textOf(error: unknown): string {
  try {
    return String(error)
  } catch {
    return typeof error
  }
}
