import { AsherahError } from '../errors.ts'
import type { KeyHierarchy } from '../keys/key-hierarchy.ts'
import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import type { KeyPort, KeyQuestion } from './key-port.ts'
import { drive } from './work.ts'

/** The key port in the caller's own thread: the answer is there on return when no backend had to be waited for. */
export class InLineHost implements KeyPort {
  readonly #hierarchy: KeyHierarchy
  readonly #callTimeoutMs: number

  constructor(hierarchy: KeyHierarchy, callTimeoutMs: number) {
    this.#hierarchy = hierarchy
    this.#callTimeoutMs = callTimeoutMs
  }

  ask(question: KeyQuestion): MaybePromise<void> {
    const answer = drive(this.#hierarchy.answer(question))
    return isPromiseLike(answer) ? withinLimit(answer, this.#callTimeoutMs) : answer
  }
}

/** Rejects when the answer takes too long. What was asked goes on, and its answer still reaches the ring. */
function withinLimit(answer: PromiseLike<void>, limitMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(timeoutError(limitMs)), limitMs)
    answer.then(
      () => {
        clearTimeout(timer)
        resolve()
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

export function timeoutError(limitMs: number): AsherahError {
  return new AsherahError(
    'ERR_TIMEOUT',
    `The metastore or KMS did not answer within ${limitMs} ms (callTimeout). Keys in memory serve on.`,
  )
}
