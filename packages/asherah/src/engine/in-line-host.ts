import type { KeyHierarchy } from '../keys/key-hierarchy.ts'
import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import type { KeyPort, KeyQuestion } from './key-port.ts'
import { TimeLimit } from './time-limit.ts'
import { drive } from './work.ts'

/**
 * Questions that callers wait for and that are answered at the same time: two gatherings of look-ups. With all of ten
 * thousand under way, collecting their garbage took a third of the time.
 */
export const mostUnderWay = 1000

/** A question that is asked when another has been answered. */
interface Queued {
  readonly question: KeyQuestion
  /** By `performance.now()`: nobody waits for its answer any more. */
  readonly pointlessAfter: number
  readonly resolve: (answer: MaybePromise<void>) => void
  readonly reject: (error: unknown) => void
  next: Queued | undefined
}

/** The key port in the caller's own thread: the answer is there on return when no backend had to be waited for. */
export class InLineHost implements KeyPort {
  /** For questions whose answer nobody waits for: each call of a backend is limited, and none keeps the process alive. */
  readonly background: KeyPort = { ask: (question) => drive(this.#hierarchy.answer(question)) }
  readonly #hierarchy: KeyHierarchy
  readonly #callTimeoutMs: number
  readonly #limit: TimeLimit
  #underWay = 0
  #firstQueued: Queued | undefined
  #lastQueued: Queued | undefined

  constructor(hierarchy: KeyHierarchy, callTimeoutMs: number) {
    this.#hierarchy = hierarchy
    this.#callTimeoutMs = callTimeoutMs
    this.#limit = new TimeLimit(callTimeoutMs, { keepsAlive: true })
  }

  ask(question: KeyQuestion): MaybePromise<void> {
    // What answers at once is never under way when somebody asks.
    const answer = this.#underWay < mostUnderWay ? this.#answer(question) : this.#queue(question)
    return isPromiseLike(answer) ? this.#limit.on(answer) : answer
  }

  #answer(question: KeyQuestion): MaybePromise<void> {
    const answer = drive(this.#hierarchy.answer(question))
    if (!isPromiseLike(answer)) return answer
    this.#underWay += 1
    const answered = (): void => {
      this.#underWay -= 1
      this.#askQueued()
    }
    answer.then(answered, answered)
    return answer
  }

  #queue(question: KeyQuestion): Promise<void> {
    return new Promise((resolve, reject) => {
      const pointlessAfter = performance.now() + this.#callTimeoutMs
      const queued: Queued = { question, pointlessAfter, resolve, reject, next: undefined }
      if (this.#lastQueued === undefined) this.#firstQueued = queued
      else this.#lastQueued.next = queued
      this.#lastQueued = queued
    })
  }

  #askQueued(): void {
    while (this.#underWay < mostUnderWay && this.#firstQueued !== undefined) {
      const { question, pointlessAfter, resolve, reject, next } = this.#firstQueued
      this.#firstQueued = next
      if (next === undefined) this.#lastQueued = undefined
      if (performance.now() >= pointlessAfter) continue
      try {
        resolve(this.#answer(question))
      } catch (error) {
        reject(error)
      }
    }
  }
}
