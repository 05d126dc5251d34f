import { AsherahError } from '../errors.ts'

/** One wait under a limit. */
interface Waiting {
  /** By `performance.now()`. */
  readonly deadline: number
  readonly reject: (error: AsherahError) => void
}

/**
 * A limit on waiting for answers. What was asked goes on, and its answer is not lost to others who wait for it. All waits
 * under one limit share a timer, since ten thousand calls at once would else make twenty thousand.
 */
export class TimeLimit {
  readonly #ms: number
  readonly #keepsAlive: boolean
  /** In the order of their deadlines. */
  readonly #waiting = new Set<Waiting>()
  /** Set for the first deadline or earlier; it may outlast the waits, and then keeps nothing alive. */
  #timer: NodeJS.Timeout | undefined

  /** `keepsAlive`: whether waiting keeps the process alive, as it must where a caller waits and nobody else keeps the time. */
  constructor(ms: number, { keepsAlive }: { readonly keepsAlive: boolean }) {
    this.#ms = ms
    this.#keepsAlive = keepsAlive
  }

  /** The answer, or the error `ERR_TIMEOUT` when it takes too long. */
  on<T>(answer: PromiseLike<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { deadline: performance.now() + this.#ms, reject }
      this.#begin(waiting)
      answer.then(
        (value) => {
          this.#end(waiting)
          resolve(value)
        },
        (error: unknown) => {
          this.#end(waiting)
          reject(error)
        },
      )
    })
  }

  #begin(waiting: Waiting): void {
    this.#waiting.add(waiting)
    if (this.#timer === undefined) this.#setTimer(this.#ms)
    else if (this.#keepsAlive && this.#waiting.size === 1) this.#timer.ref()
  }

  #end(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#keepsAlive && this.#waiting.size === 0) this.#timer?.unref()
  }

  #setTimer(ms: number): void {
    this.#timer = setTimeout(() => this.#endOverdue(), ms)
    if (!this.#keepsAlive) this.#timer.unref()
  }

  #endOverdue(): void {
    this.#timer = undefined
    const now = performance.now()
    for (const waiting of this.#waiting) {
      if (waiting.deadline > now) {
        this.#setTimer(Math.ceil(waiting.deadline - now))
        return
      }
      this.#waiting.delete(waiting)
      waiting.reject(timeoutError(this.#ms))
    }
  }
}

export function timeoutError(limitMs: number): AsherahError {
  return new AsherahError(
    'ERR_TIMEOUT',
    `The metastore or KMS did not answer within ${limitMs} ms (callTimeout). Keys in memory serve on.`,
  )
}

export function isTimeout(error: unknown): boolean {
  return error instanceof AsherahError && error.code === 'ERR_TIMEOUT'
}
