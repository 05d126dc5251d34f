import { withDeadline } from './deadline.ts'
import { prepareConnection } from './open-connection.ts'
import type { ConnectionSource, Lease, SqlConnection } from './sql-connection.ts'
import type { SqlDialectErrors } from './sql-runner.ts'

/** One connection of a pool that the user passed. */
export interface GivenConnection extends SqlConnection {
  /** The driver's own object: the same one whenever the pool hands out the same connection. */
  readonly driverConnection: object
  /** Gives it back to the pool. */
  giveBack(): void
}

/** A pool that the user passed: it is never closed, and its connections are prepared when they are first seen. */
export class GivenPool implements ConnectionSource {
  readonly #take: () => Promise<GivenConnection>
  readonly #prepare: readonly string[]
  readonly #errors: SqlDialectErrors
  readonly #waitMs: number
  readonly #prepared = new WeakSet<object>()

  constructor(
    take: () => Promise<GivenConnection>,
    prepare: readonly string[],
    errors: SqlDialectErrors,
    waitMs: number,
  ) {
    this.#take = take
    this.#prepare = prepare
    this.#errors = errors
    this.#waitMs = waitMs
  }

  async acquire(): Promise<Lease> {
    const connection = await this.#takeInTime()
    const reused = this.#prepared.has(connection.driverConnection)
    const lease = { connection, reused, release: () => connection.giveBack() }
    if (reused) return lease
    try {
      await withDeadline(
        prepareConnection(connection, this.#prepare),
        this.#waitMs,
        `The ${this.#errors.label} gave no answer in ${this.#waitMs} ms.`,
        () => connection.destroy(),
      )
    } catch (error) {
      connection.destroy()
      connection.giveBack()
      throw this.#errors.typed('opened', error)
    }
    this.#prepared.add(connection.driverConnection)
    return lease
  }

  async close(): Promise<void> {}

  async #takeInTime(): Promise<GivenConnection> {
    let late = false
    const taking = this.#take()
    taking.then(
      (connection) => {
        if (late) connection.giveBack()
      },
      () => undefined,
    )
    try {
      return await withDeadline(
        taking,
        this.#waitMs,
        `The pool of the ${this.#errors.label} gave no connection in ${this.#waitMs} ms.`,
        () => {
          late = true
        },
      )
    } catch (error) {
      throw this.#errors.typed('opened', error)
    }
  }
}
