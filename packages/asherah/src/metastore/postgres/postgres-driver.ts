import { DriverConnection } from '../sql/driver-connection.ts'
import type { GivenConnection } from '../sql/given-pool.ts'
import type { OpeningConnection, SqlAnswer, SqlValue } from '../sql/sql-connection.ts'

/** What is used of a client of `pg`, 8.13 or newer. */
export interface PostgresClient {
  query(query: object): Promise<{ readonly rows: readonly unknown[][]; readonly rowCount: number | null }>
  on(event: 'error' | 'end', listener: () => void): unknown
  off(event: 'error' | 'end', listener: () => void): unknown
}

/** What is used of a pool of `pg`. */
export interface PostgresPool {
  connect(): Promise<PostgresClient & { release(destroy?: boolean): void }>
}

/** What is used of the module `pg`. */
export interface PostgresDriver {
  readonly Client: new (config: object) => OwnClient
}

interface OwnClient extends PostgresClient {
  connect(): Promise<unknown>
  end(): Promise<void>
}

/** The socket, which `pg` documents nowhere and has always had there. */
interface WithSocket {
  readonly connection?: {
    readonly stream?: { destroy(): void; ref?(): void; unref?(): void; readonly destroyed?: boolean }
  }
}

/** Every column is asked for as text, whatever parsers the application has set for its own queries. */
const asText = { getTypeParser: () => (value: unknown) => value }

abstract class PostgresConnection extends DriverConnection<PostgresClient> {
  async query(text: string, values: readonly SqlValue[] = []): Promise<SqlAnswer> {
    // Values go apart from the text, and without types: each takes that of its column, be it TEXT, JSON or JSONB.
    const { rows, rowCount } = await this.client.query({ text, values, rowMode: 'array', types: asText })
    return { rows, affected: rowCount ?? 0 }
  }

  keepsAlive(value: boolean): void {
    if (value) this.#socket?.ref?.()
    else this.#socket?.unref?.()
  }

  protected freeSocket(): void {
    this.#socket?.destroy()
  }

  get #socket() {
    return (this.client as WithSocket).connection?.stream
  }
}

/** A connection that is ours. */
export class OwnPostgresConnection extends PostgresConnection implements OpeningConnection {
  readonly ready: Promise<void>
  readonly #end: () => Promise<void>

  constructor(driver: PostgresDriver, config: object) {
    const client = new driver.Client(config)
    super(client)
    this.ready = client.connect().then(() => undefined)
    this.#end = () => client.end()
  }

  end(): Promise<void> {
    return this.leave(this.#end)
  }
}

/** A connection of a pool that the user passed. */
export class GivenPostgresConnection extends PostgresConnection implements GivenConnection {
  readonly #release: (destroy: boolean) => void

  constructor(client: PostgresClient & { release(destroy?: boolean): void }) {
    super(client)
    this.#release = (destroy) => client.release(destroy)
  }

  get driverConnection(): object {
    return this.client
  }

  giveBack(): void {
    this.detach()
    this.#release(!this.usable)
  }

  async end(): Promise<void> {
    this.giveBack()
  }
}
