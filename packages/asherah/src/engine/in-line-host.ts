import type { KeyHierarchy } from '../keys/key-hierarchy.ts'
import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import type { KeyPort, KeyQuestion } from './key-port.ts'
import { withinLimit } from './time-limit.ts'
import { drive } from './work.ts'

/** The key port in the caller's own thread: the answer is there on return when no backend had to be waited for. */
export class InLineHost implements KeyPort {
  /** For questions whose answer nobody waits for: each call of a backend is limited, and none keeps the process alive. */
  readonly background: KeyPort = { ask: (question) => drive(this.#hierarchy.answer(question)) }
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
