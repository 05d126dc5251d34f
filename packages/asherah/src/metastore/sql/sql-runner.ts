import { AsherahError } from '../../errors.ts'
import { withDeadline } from './deadline.ts'
import type { ConnectionSource, SqlConnection } from './sql-connection.ts'

/** How often a statement is tried that the server undoes for another one's sake; each time one of the two goes through. */
const mostAttempts = 10

/** What a dialect knows about its errors. */
export interface SqlDialectErrors {
  /** What messages call the store. */
  readonly label: string
  /** Whether the connection, and not the statement, is what failed; then another one may serve. */
  isConnectionFault(error: unknown): boolean
  /** Whether a connection was refused because the server, or the account, has as many as it may. */
  isServerFull(error: unknown): boolean
  /** Whether the server undid the statement because of another one's locks, so that it may be done again as it is. */
  isUndone(error: unknown): boolean
  /** The typed error for what the driver threw; `action` is what could not be done: `opened`, `read`, `written`. */
  typed(action: string, error: unknown): AsherahError
}

/** Runs the statements of a metastore: on a connection of the source, within a time, with typed errors. */
export class SqlRunner {
  readonly #source: ConnectionSource
  readonly #errors: SqlDialectErrors
  readonly #queryTimeoutMs: number
  #running = 0
  #closing: Promise<void> | undefined
  #lastCallEnded: (() => void) | undefined

  constructor(source: ConnectionSource, errors: SqlDialectErrors, queryTimeoutMs: number) {
    this.#source = source
    this.#errors = errors
    this.#queryTimeoutMs = queryTimeoutMs
  }

  /**
   * Runs `work` on one connection. Where a connection turns out to have been lost while it was idle, the work is done
   * again on a new one: reads change nothing, and a store that was done already answers that the row is there.
   *
   * @throws AsherahError `ERR_METASTORE`, `ERR_TIMEOUT`, `ERR_CLOSED`.
   */
  async run<T>(action: string, work: (connection: SqlConnection) => Promise<T>): Promise<T> {
    this.checkOpen()
    this.#running += 1
    try {
      for (let fresh = false; ; fresh = true) {
        const lease = await this.#source.acquire(fresh)
        const { connection, reused } = lease
        try {
          return await withDeadline(
            this.#attempt(() => work(connection)),
            this.#queryTimeoutMs,
            `The ${this.#errors.label} gave no answer in ${this.#queryTimeoutMs} ms; it could not be ${action}.`,
            () => connection.destroy(),
          )
        } catch (error) {
          if (this.#errors.isConnectionFault(error)) connection.destroy()
          if (connection.usable || !reused || isTimeout(error)) throw this.#errors.typed(action, error)
        } finally {
          lease.release()
        }
      }
    } finally {
      this.#running -= 1
      if (this.#running === 0) this.#lastCallEnded?.()
    }
  }

  /** @throws AsherahError `ERR_CLOSED` after {@link close}. */
  checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new AsherahError(
        'ERR_CLOSED',
        `A call reached the ${this.#errors.label} after it was closed. Open a new one.`,
      )
    }
  }

  /** Lets the calls in flight end, then closes the source. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#drained().then(() => this.#source.close())
    return this.#closing
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await work()
      } catch (error) {
        if (attempt === mostAttempts || !this.#errors.isUndone(error)) throw error
      }
    }
  }

  #drained(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#lastCallEnded = resolve
    })
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof AsherahError && error.code === 'ERR_TIMEOUT'
}
