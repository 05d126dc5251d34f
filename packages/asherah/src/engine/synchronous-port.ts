import { AsherahError } from '../errors.ts'
import { isPromiseLike } from '../maybe-promise.ts'
import type { Log } from '../observability/log.ts'
import { forBlockedCaller } from './blocked-caller.ts'
import type { KeyPort, KeyQuestion } from './key-port.ts'

/** Waits for an answer on another thread while this one blocks. */
export interface BlockingPort {
  askNow(question: KeyQuestion): void
}

export interface SynchronousPortParts {
  /** Its promises are left to themselves. */
  readonly inLine: KeyPort
  /** Undefined where another thread cannot rebuild the backends; `unreachable` then says which. */
  readonly bridge: BlockingPort | undefined
  readonly unreachable: string | undefined
  /** Whether a backend is known to answer over a network, so that asking in line would only ask twice. */
  readonly answersLater: boolean
  /** True once the backends are open: from then on a promise means that they answer later. */
  readonly opened: () => boolean
  readonly log: Log
}

/**
 * Answers a question before it returns: in line when the backends answer at once, else over the bridge, else not at all.
 */
export class SynchronousPort {
  readonly #parts: SynchronousPortParts
  /** Learnt at the first promise; asking in line would then only ask twice. */
  #answersLater: boolean
  /** A question was left to wait for the backends' opening. */
  #metOpening = false

  constructor(parts: SynchronousPortParts) {
    this.#parts = parts
    this.#answersLater = parts.answersLater
  }

  /**
   * On return the key may be used. `servable`: it is in the ring already, and only its check is overdue; it is then used
   * unchecked where the check had to be left to the background, or was not answered.
   */
  askNow(question: KeyQuestion, servable: boolean): void {
    const { inLine, bridge, opened } = this.#parts
    let handedOver = false
    const wasOpen = opened()
    // While backends are still being opened, one question waits for that; more would all be asked a second time then.
    const pointless = this.#answersLater || (this.#metOpening && !wasOpen)
    if (bridge === undefined || !pointless) {
      const answer = forBlockedCaller(() => inLine.ask(question))
      if (!isPromiseLike(answer)) return
      // The run goes on asynchronously: nothing is orphaned, and its key still reaches the ring.
      handedOver = true
      this.inBackground(question, answer)
      if (wasOpen) this.#answersLater = true
      else this.#metOpening = true
    }
    if (bridge !== undefined) {
      try {
        bridge.askNow(question)
        return
      } catch (error) {
        // An outage does not take away a key that is in memory.
        if (servable && isOutage(error)) return
        throw error
      }
    }
    if (servable && handedOver) return
    throw new AsherahError(
      'ERR_WOULD_BLOCK',
      `This synchronous call would have to wait, and ${this.#parts.unreachable ?? 'its backend'} cannot be reached from ` +
        'another thread. Ways out: await the Async form of the call; await factory.warm([partitionId]) first; or give ' +
        'the backend as the URL of a module that makes it.',
    )
  }

  /** A check that nobody waits for. Its failure was met with a back-off, or is met by the call that needs the key. */
  inBackground(question: KeyQuestion, started?: PromiseLike<void>): void {
    const failed = (error: unknown): void => {
      // The factory was closed meanwhile: nobody needs the answer any more.
      if (error instanceof AsherahError && error.code === 'ERR_CLOSED') return
      this.#parts.log.warnOnceAMinute(`a background check of the ${question.kind} key failed`, error)
    }
    if (started !== undefined) {
      started.then(undefined, failed)
      return
    }
    setImmediate(() => {
      try {
        const answer = this.#parts.inLine.ask(question)
        if (isPromiseLike(answer)) answer.then(undefined, failed)
      } catch (error) {
        failed(error)
      }
    }).unref()
  }
}

/** Whether the bridge or the backend behind it did not answer: errors that the backend itself tells open a back-off there. */
function isOutage(error: unknown): boolean {
  return error instanceof AsherahError && (error.code === 'ERR_TIMEOUT' || error.code === 'ERR_BRIDGE')
}
