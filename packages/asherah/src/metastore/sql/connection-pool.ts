import type { PoolConfig } from '../../config/metastore-settings.ts'
import { AsherahError } from '../../errors.ts'
import type { ConnectionSource, Lease, SqlConnection } from './sql-connection.ts'
import { WaitingCall } from './waiting-call.ts'

/** A timer can wait no longer: 24.8 days. */
const longestTimerMs = 0x7fff_ffff

/**
 * Connections on their way at once. A server that is asked for hundreds at the same moment takes seconds for each, TLS
 * above all, and the connect time limit ends them; whoever is served by one that became free meanwhile needs none.
 */
const mostOpening = 8

/** How long a server that had no connection left is not asked for another one while we have some. */
const serverFullMs = 500

interface Idle {
  readonly connection: SqlConnection
  readonly since: number
}

/**
 * Connections of one database, opened when they are needed. The limits mean what Go's `database/sql` means by them
 * (contract sections 4.5 and 5.1), for every driver alike: the drivers' own pools each lack one of the four.
 *
 * No limit of ours leaves the server's: where it has no connection left while some of them are ours, a call waits for one
 * of those, as it would at a limit of ours.
 *
 * Idle connections do not keep the process alive.
 */
export class ConnectionPool implements ConnectionSource {
  readonly #openOne: () => Promise<SqlConnection>
  readonly #limits: PoolConfig
  readonly #waitMs: number
  readonly #isServerFull: (error: unknown) => boolean
  /** The one that was used last is at the end, and is used next. */
  #idle: Idle[] = []
  #waiting: WaitingCall[] = []
  readonly #bornAt = new WeakMap<SqlConnection, number>()
  /** Those on their way, in use and idle. */
  #count = 0
  /** Of these, those on their way. */
  #opening = 0
  /** How many we had when the server last had no connection left, and until when it is not asked again. */
  #ceiling: { readonly count: number; readonly until: number } | undefined
  /** Connections on their way in or out; none of them is rejected. */
  readonly #moving = new Set<Promise<void>>()
  #reaper: NodeJS.Timeout | undefined
  #closed = false

  /**
   * @param waitMs how long to wait for a free connection where `maxOpen` or the server allows no more.
   * @param isServerFull whether `openOne` failed because the server, or the account, has no connection left.
   */
  constructor(
    openOne: () => Promise<SqlConnection>,
    limits: PoolConfig,
    waitMs: number,
    isServerFull: (error: unknown) => boolean,
  ) {
    this.#openOne = openOne
    this.#limits = limits
    this.#waitMs = waitMs
    this.#isServerFull = isServerFull
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
    if (this.#isFull() && this.#opening < mostOpening) this.#makeRoom()
    return new Promise((resolve, reject) => {
      const call = new WaitingCall(fresh, resolve, reject)
      if (this.#isFull()) this.#wait(call)
      else this.#move(this.#openFor(call))
    })
  }

  /** Ends the idle connections, and waits for those on their way in or out; those in use end when they are released. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#reaper)
    const idle = this.#idle
    this.#idle = []
    for (const { connection } of idle) this.#forget(connection)
    while (this.#moving.size > 0) await Promise.all(this.#moving)
  }

  #lease(connection: SqlConnection, reused: boolean): Lease {
    return { connection, reused, release: () => this.#release(connection) }
  }

  #release(connection: SqlConnection): void {
    const first = this.#waiting[0]
    const keep = connection.usable && !this.#closed && !this.#isOld(connection)
    if (keep && first?.fresh === false) {
      this.#waiting.shift()
      first.serve(this.#lease(connection, true))
      // Where the server was full it may have room again by now; one at a time finds out.
      if (this.#opening === 0) this.#serveNext()
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
    const { maxOpen } = this.#limits
    if (this.#opening >= mostOpening || (maxOpen > 0 && this.#count >= maxOpen)) return true
    // With none of ours nothing would ever become free.
    if (this.#ceiling === undefined || this.#count === 0) return false
    return this.#count >= this.#ceiling.count && performance.now() < this.#ceiling.until
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

  #move(moving: Promise<void>): void {
    const moved = moving.finally(() => this.#moving.delete(moved))
    this.#moving.add(moved)
  }

  async #openFor(call: WaitingCall): Promise<void> {
    this.#count += 1
    this.#opening += 1
    try {
      const connection = await this.#openOne()
      this.#opening -= 1
      this.#bornAt.set(connection, performance.now())
      connection.onBroken(() => this.#dropIdle(connection))
      call.serve(this.#lease(connection, false))
      this.#serveNext()
    } catch (error) {
      this.#opening -= 1
      this.#count -= 1
      if (this.#isServerFull(error)) this.#waitForOurs(call, error)
      else call.refuse(error)
      this.#serveNext()
    }
  }

  /** Whom the server had no connection for waits for one of ours; with none of ours, nothing would become free. */
  #waitForOurs(call: WaitingCall, error: unknown): void {
    call.refused(error)
    const idle = this.#takeIdle()
    if (idle !== undefined) {
      call.serve(this.#lease(idle, true))
      return
    }
    this.#wait(call, 'first')
    if (this.#count > 0) {
      this.#ceiling = { count: this.#count, until: performance.now() + serverFullMs }
      return
    }
    const refused = this.#waiting.filter(({ refusal }) => refusal !== undefined)
    this.#waiting = this.#waiting.filter(({ refusal }) => refusal === undefined)
    for (const waiting of refused) waiting.refuse(waiting.refusal)
  }

  #wait(call: WaitingCall, place: 'first' | 'last' = 'last'): void {
    if (call.settled) return
    if (place === 'first') this.#waiting.unshift(call)
    else this.#waiting.push(call)
    call.startTimer(this.#waitMs, () => {
      this.#waiting = this.#waiting.filter((other) => other !== call)
      call.refuse(this.#timeOver(call))
    })
  }

  #timeOver({ refusal }: WaitingCall): AsherahError {
    const { maxOpen } = this.#limits
    const advice = 'find out what the database is busy with'
    const message =
      maxOpen > 0 && this.#count >= maxOpen
        ? `None of the ${maxOpen} connections became free in ${this.#waitMs} ms. Raise poolMaxOpen, or ${advice}.`
        : this.#ceiling === undefined
          ? `No connection was opened or became free in ${this.#waitMs} ms. Check that the server can be reached, or ${advice}.`
          : `The server had no connection left, and none of the ${this.#count} of this process became free in ` +
            `${this.#waitMs} ms. Raise the server's limit, or ${advice}.`
    return new AsherahError('ERR_TIMEOUT', message, refusal === undefined ? {} : { cause: refusal })
  }

  /** Opens a connection for the one who has waited longest, where there is room for one. */
  #serveNext(): void {
    if (this.#isFull()) return
    const call = this.#waiting.shift()
    if (call !== undefined) this.#move(this.#openFor(call))
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
    this.#move(connection.end())
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
