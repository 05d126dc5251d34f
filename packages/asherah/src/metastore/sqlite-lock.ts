import { callerIsBlocked, countLockWait } from '../engine/blocked-caller.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { sqliteFault } from './sqlite-error.ts'

interface Waiting {
  /** By `performance.now()`. */
  readonly deadline: number
  /** Throws while the lock is held. */
  readonly attempt: () => void
  readonly reject: (error: unknown) => void
}

/** Statements that found the lock free go on for this long before the event loop gets a turn. */
const turnMs = 5

/**
 * Runs statements that another connection's lock may refuse; a refused statement has changed nothing. They are tried again
 * after 1 to 5 ms: SQLite's own wait grows to 100 ms between tries, so beside a process that stores one key after another it
 * got no turn in 5 s; and it does not wait at all while another process switches the journal mode.
 *
 * The caller of a synchronous call is blocked meanwhile. For any other, statements queue up behind one timer, however many
 * there are, and are done in their order.
 */
export class SqliteLock {
  readonly #timeoutMs: number
  readonly #waiting: Waiting[] = []
  #whenIdle: (() => void) | undefined

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** What the statement returns, at once when nobody holds the lock; SQLite's own error when the time is over. */
  run<T>(statement: () => T): MaybePromise<T> {
    if (callerIsBlocked()) return this.runBlocking(statement)
    try {
      return statement()
    } catch (error) {
      if (sqliteFault(error) !== 'busy' || this.#timeoutMs === 0) throw error
      return this.#later(statement, performance.now() + this.#timeoutMs)
    }
  }

  /** Likewise, blocking the thread meanwhile. */
  runBlocking<T>(statement: () => T): T {
    const deadline = performance.now() + this.#timeoutMs
    for (;;) {
      try {
        return statement()
      } catch (error) {
        if (sqliteFault(error) !== 'busy' || performance.now() >= deadline) throw error
        Atomics.wait(pause, 0, 0, pauseMs())
      }
    }
  }

  /** When no statement waits any more; undefined when none does now. */
  idle(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return undefined
    return new Promise((resolve) => {
      this.#whenIdle = resolve
    })
  }

  #later<T>(statement: () => T, deadline: number): Promise<T> {
    return new Promise((resolve, reject) => {
      countLockWait(1)
      this.#waiting.push({ deadline, attempt: () => resolve(statement()), reject })
      if (this.#waiting.length === 1) setTimeout(() => this.#tryAgain(), pauseMs())
    })
  }

  #tryAgain(): void {
    const turnEnd = performance.now() + turnMs
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      try {
        first.attempt()
        this.#leave()
      } catch (error) {
        if (sqliteFault(error) === 'busy') {
          this.#refuseOverdue(error)
          if (this.#waiting.length > 0) setTimeout(() => this.#tryAgain(), pauseMs())
          return
        }
        this.#leave()
        first.reject(error)
      }
      if (performance.now() >= turnEnd && this.#waiting.length > 0) {
        setImmediate(() => this.#tryAgain())
        return
      }
    }
  }

  /** The queue is in the order of the deadlines, and nobody behind the first would fare better. */
  #refuseOverdue(error: unknown): void {
    const now = performance.now()
    for (
      let first = this.#waiting[0];
      first !== undefined && now >= first.deadline;
      first = this.#waiting[0]
    ) {
      this.#leave()
      first.reject(error)
    }
  }

  #leave(): void {
    this.#waiting.shift()
    countLockWait(-1)
    if (this.#waiting.length === 0) this.#whenIdle?.()
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4))

function pauseMs(): number {
  return 1 + Math.random() * 4
}
