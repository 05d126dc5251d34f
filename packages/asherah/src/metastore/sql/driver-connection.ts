import type { SqlAnswer, SqlConnection, SqlValue } from './sql-connection.ts'

/** What both drivers' clients have in common. */
export interface DriverClient {
  on(event: 'error' | 'end', listener: () => void): unknown
  off(event: 'error' | 'end', listener: () => void): unknown
}

/** How long a server may take to close a connection that says goodbye, in milliseconds. */
const goodbyeMs = 1_000

/** A connection of a driver: whether it still works, and how it ends. What the driver does otherwise is a subclass's. */
export abstract class DriverConnection<Client extends DriverClient> implements SqlConnection {
  protected readonly client: Client
  #usable = true
  #onBroken: (() => void) | undefined
  readonly #break = (): void => this.broken()

  constructor(client: Client) {
    this.client = client
    // Without a listener the error of an idle connection ends the process.
    client.on('error', this.#break)
    client.on('end', this.#break)
  }

  get usable(): boolean {
    return this.#usable
  }

  onBroken(listener: () => void): void {
    this.#onBroken = listener
  }

  destroy(): void {
    this.#usable = false
    this.freeSocket()
  }

  abstract query(text: string, values?: readonly SqlValue[]): Promise<SqlAnswer>

  abstract end(): Promise<void>

  abstract keepsAlive(value: boolean): void

  protected abstract freeSocket(): void

  /** Nothing more can be answered. */
  protected broken(): void {
    if (!this.#usable) return
    this.#usable = false
    this.#onBroken?.()
  }

  /** Leaves the client to the pool that it was taken from. */
  protected detach(): void {
    this.client.off('error', this.#break)
    this.client.off('end', this.#break)
  }

  /** Ends a connection of ours with the driver's `goodbye`, and frees its socket whatever becomes of that. */
  protected async leave(goodbye: () => Promise<void>): Promise<void> {
    if (this.usable) {
      let timer: NodeJS.Timeout | undefined
      const over = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, goodbyeMs)
      })
      // A connection that breaks while it is closed is closed.
      await Promise.race([goodbye().catch(() => undefined), over])
      clearTimeout(timer)
    }
    this.destroy()
  }
}
