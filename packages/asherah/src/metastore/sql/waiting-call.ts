import type { Lease } from './sql-connection.ts'

/** A call that wants a connection. It is served or refused once; what comes for it later goes back. */
export class WaitingCall {
  readonly #resolve: (lease: Lease) => void
  readonly #reject: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #settled = false
  #fresh: boolean
  #refusal: unknown

  constructor(fresh: boolean, resolve: (lease: Lease) => void, reject: (error: unknown) => void) {
    this.#fresh = fresh
    this.#resolve = resolve
    this.#reject = reject
  }

  /** Whether it wants a connection that was not open before. */
  get fresh(): boolean {
    return this.#fresh
  }

  /** Why the server refused it a connection of its own. */
  get refusal(): unknown {
    return this.#refusal
  }

  get settled(): boolean {
    return this.#settled
  }

  /** Now any connection will do: a server that is full may still count the one that was lost. */
  refused(error: unknown): void {
    this.#refusal = error
    this.#fresh = false
  }

  /** Bounds the time in line, from the first time on: `onOver` takes it out and refuses it. */
  startTimer(milliseconds: number, onOver: () => void): void {
    this.#timer ??= setTimeout(onOver, milliseconds)
  }

  serve(lease: Lease): void {
    if (this.#settle()) this.#resolve(lease)
    else lease.release()
  }

  refuse(error: unknown): void {
    if (this.#settle()) this.#reject(error)
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    clearTimeout(this.#timer)
    return true
  }
}
