import { AsherahError } from '../errors.ts'
import { isPromiseLike } from '../maybe-promise.ts'
import type { Log } from '../observability/log.ts'
import type { KeyPort, KeyQuestion } from './key-port.ts'

/** Waits for an answer on another thread while this one blocks. */
export interface BlockingPort {
  askNow(question: KeyQuestion): void
}

export interface SynchronousPortParts {
  readonly inLine: KeyPort
  /** Undefined where another thread cannot rebuild the backends; `unreachable` then says which. */
  readonly bridge: BlockingPort | undefined
  readonly unreachable: string | undefined
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
  #answersLater = false

  constructor(parts: SynchronousPortParts) {
    this.#parts = parts
  }

  /**
   * `servable`: the key is in the ring, and only its check is overdue. Answers `serve-on` when the caller should use it
   * unchecked, because the check had to be left to the background.
   */
  askNow(question: KeyQuestion, servable: boolean): 'answered' | 'serve-on' {
    const { inLine, bridge, opened } = this.#parts
    let handedOver = false
    if (!this.#answersLater || bridge === undefined) {
      const wasOpen = opened()
      const answer = inLine.ask(question)
      if (!isPromiseLike(answer)) return 'answered'
      // The run goes on asynchronously: nothing is orphaned, and its key still reaches the ring.
      handedOver = true
      this.inBackground(question, answer)
      this.#answersLater ||= wasOpen
    }
    if (bridge !== undefined) {
      bridge.askNow(question)
      return 'answered'
    }
    if (servable && handedOver) return 'serve-on'
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
