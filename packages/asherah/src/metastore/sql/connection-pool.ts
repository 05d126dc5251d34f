import type { PoolConfig } from '../../config/metastore-settings.ts'
import { AsherahError } from '../../errors.ts'
import type { ConnectionSource, Lease, SqlConnection } from './sql-connection.ts'

/** A timer can wait no longer: 24.8 days. */
const longestTimerMs = 0x7fff_ffff

interface Idle {
  readonly connection: SqlConnection
  readonly since: number
}

interface Waiter {
  readonly fresh: boolean
  readonly resolve: (lease: Lease) => void
  readonly reject: (error: unknown) => void
}

/**
 * Connections of one database, opened when they are needed. The limits mean what Go's `database/sql` means by them
 * (contract sections 4.5 and 5.1), for every driver alike: the drivers' own pools each lack one of the four.
 *
 * Idle connections do not keep the process alive.
 */
export class ConnectionPool implements ConnectionSource {
  readonly #openOne: () => Promise<SqlConnection>
  readonly #limits: PoolConfig
  readonly #waitMs: number
  /** The one that was used last is at the end, and is used next. */
  #idle: Idle[] = []
  readonly #waiting: Waiter[] = []
  readonly #bornAt = new WeakMap<SqlConnection, number>()
  /** Those on their way, in use and idle. */
  #count = 0
  #reaper: NodeJS.Timeout | undefined
  #closed = false

  /** @param waitMs how long to wait for a free connection where `maxOpen` allows no more. */
  constructor(openOne: () => Promise<SqlConnection>, limits: PoolConfig, waitMs: number) {
    this.#openOne = openOne
    this.#limits = limits
    this.#waitMs = waitMs
  }

  /** How many connections there are: on their way, in use and idle. */
  get size(): number {
    return this.#count
  }

  get idle(): number {
    return this.#idle.length
  }

  async acquire(fresh: boolean): Promise<Lease> {
    if (!fresh) {
      const connection = this.#takeIdle()
      if (connection !== undefined) return this.#lease(connection, true)
    }
    if (this.#isFull()) this.#makeRoom()
    return this.#isFull() ? this.#wait(fresh) : this.#open()
  }

  /** Ends the idle connections; those in use end when they are released. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#reaper)
    const idle = this.#idle
    this.#idle = []
    this.#count -= idle.length
    await Promise.all(idle.map(({ connection }) => connection.end()))
  }

  #lease(connection: SqlConnection, reused: boolean): Lease {
    return { connection, reused, release: () => this.#release(connection) }
  }

  #release(connection: SqlConnection): void {
    const first = this.#waiting[0]
    const keep = connection.usable && !this.#closed && !this.#isOld(connection)
    if (keep && first?.fresh === false) {
      this.#waiting.shift()
      first.resolve(this.#lease(connection, true))
      return
    }
    if (!keep || first !== undefined || this.#idle.length >= this.#limits.maxIdle) {
      this.#forget(connection)
      return
    }
    connection.keepsAlive(false)
    this.#idle.push({ connection, since: performance.now() })
    this.#scheduleReaper()
  }

  #isFull(): boolean {
    return this.#limits.maxOpen > 0 && this.#count >= this.#limits.maxOpen
  }

  #takeIdle(): SqlConnection | undefined {
    for (let entry = this.#idle.pop(); entry !== undefined; entry = this.#idle.pop()) {
      if (entry.connection.usable && !this.#isOver(entry)) {
        entry.connection.keepsAlive(true)
        return entry.connection
      }
      this.#forget(entry.connection)
    }
    return undefined
  }

  async #open(): Promise<Lease> {
    this.#count += 1
    try {
      const connection = await this.#openOne()
      this.#bornAt.set(connection, performance.now())
      connection.onBroken(() => this.#dropIdle(connection))
      return this.#lease(connection, false)
    } catch (error) {
      this.#count -= 1
      this.#serveNext()
      throw error
    }
  }

  #wait(fresh: boolean): Promise<Lease> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        reject(
          new AsherahError(
            'ERR_TIMEOUT',
            `None of the ${this.#limits.maxOpen} connections became free in ${this.#waitMs} ms. Raise poolMaxOpen, or find ` +
              'out what the database is busy with.',
          ),
        )
      }, this.#waitMs)
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          settle(value)
        }
      const waiter: Waiter = { fresh, resolve: settled(resolve), reject: settled(reject) }
      this.#waiting.push(waiter)
    })
  }

  /** Opens a connection for the one who has waited longest, where there is room for one. */
  #serveNext(): void {
    if (this.#isFull()) return
    const waiter = this.#waiting.shift()
    if (waiter !== undefined) this.#open().then(waiter.resolve, waiter.reject)
  }

  #makeRoom(): void {
    const oldest = this.#idle.shift()
    if (oldest !== undefined) this.#forget(oldest.connection)
  }

  #dropIdle(connection: SqlConnection): void {
    const index = this.#idle.findIndex((entry) => entry.connection === connection)
    if (index < 0) return
    this.#idle.splice(index, 1)
    this.#forget(connection)
  }

  #forget(connection: SqlConnection): void {
    this.#count -= 1
    void connection.end()
    this.#serveNext()
  }

  #isOld(connection: SqlConnection): boolean {
    const { maxLifetimeSeconds } = this.#limits
    if (maxLifetimeSeconds === 0) return false
    return performance.now() - (this.#bornAt.get(connection) ?? 0) >= maxLifetimeSeconds * 1000
  }

  #isOver({ connection, since }: Idle): boolean {
    const { maxIdleTimeSeconds } = this.#limits
    if (maxIdleTimeSeconds > 0 && performance.now() - since >= maxIdleTimeSeconds * 1000) return true
    return this.#isOld(connection)
  }

  #scheduleReaper(): void {
    const spans = [this.#limits.maxIdleTimeSeconds, this.#limits.maxLifetimeSeconds].filter(
      (span) => span > 0,
    )
    if (spans.length === 0 || this.#reaper !== undefined) return
    // Half the shortest time, so that a connection outlives its end by half of it at most.
    const wait = Math.min(...spans) * 500
    this.#reaper = setTimeout(() => this.#reap(), Math.min(wait, longestTimerMs)).unref()
  }

  #reap(): void {
    this.#reaper = undefined
    const over = this.#idle.filter((entry) => this.#isOver(entry))
    this.#idle = this.#idle.filter((entry) => !over.includes(entry))
    for (const { connection } of over) this.#forget(connection)
    if (this.#idle.length > 0) this.#scheduleReaper()
  }
}
