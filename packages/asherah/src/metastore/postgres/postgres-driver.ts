import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import type { DatabaseConnection } from '../../config/database-connection.ts'
import type { GivenConnection } from '../sql/given-pool.ts'
import type { OpeningConnection, SqlAnswer, SqlConnection, SqlValue } from '../sql/sql-connection.ts'
import { parameterError, readPem } from '../sql/tls-files.ts'

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

/** How long a server may take to close a connection that says goodbye, in milliseconds. */
const goodbyeMs = 1_000

abstract class PostgresConnection implements SqlConnection {
  protected readonly client: PostgresClient
  #usable = true
  #onBroken: (() => void) | undefined
  readonly #break = (): void => {
    if (!this.#usable) return
    this.#usable = false
    this.#onBroken?.()
  }

  constructor(client: PostgresClient) {
    this.client = client
    // Without a listener the error of an idle connection ends the process.
    client.on('error', this.#break)
    client.on('end', this.#break)
  }

  get usable(): boolean {
    return this.#usable
  }

  async query(text: string, values: readonly SqlValue[] = []): Promise<SqlAnswer> {
    // Values go apart from the text, and without types: each takes that of its column, be it TEXT, JSON or JSONB.
    const { rows, rowCount } = await this.client.query({ text, values, rowMode: 'array', types: asText })
    return { rows, affected: rowCount ?? 0 }
  }

  onBroken(listener: () => void): void {
    this.#onBroken = listener
  }

  destroy(): void {
    this.#usable = false
    this.socket?.destroy()
  }

  abstract end(): Promise<void>

  keepsAlive(value: boolean): void {
    if (value) this.socket?.ref?.()
    else this.socket?.unref?.()
  }

  protected get socket() {
    return (this.client as WithSocket).connection?.stream
  }

  protected detach(): void {
    this.client.off('error', this.#break)
    this.client.off('end', this.#break)
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

  async end(): Promise<void> {
    if (!this.usable) {
      this.destroy()
      return
    }
    const timer = setTimeout(() => this.destroy(), goodbyeMs)
    try {
      await this.#end()
    } catch {
      // A connection that breaks while it is closed is closed.
      this.destroy()
    } finally {
      clearTimeout(timer)
    }
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

/** Parameters that say what is done anyway, or what cannot matter here. */
const withoutEffect: ReadonlySet<string> = new Set([
  'client_encoding',
  'keepalives',
  'keepalives_count',
  'keepalives_idle',
  'keepalives_interval',
  'load_balance_hosts',
  'sslcompression',
  'sslsni',
  'target_session_attrs',
  'tcp_user_timeout',
])

const supported =
  'application_name, channel_binding, connect_timeout, fallback_application_name, gssencmode, options, sslcert, sslkey, ' +
  'sslmode, sslnegotiation, sslpassword, sslrootcert'

/** A connection string's part of the configuration of a `pg` client. */
export interface PostgresClientConfig {
  readonly config: object
  /** `connect_timeout`, in milliseconds. */
  readonly connectTimeoutMs?: number
}

/**
 * What a client of `pg` needs to be told.
 *
 * @throws AsherahError `ERR_CONFIG_INVALID` for a parameter that is not known or cannot be honoured: what is left out in
 * silence could be what was meant to protect the connection.
 */
export function postgresClientConfig(connection: DatabaseConnection): PostgresClientConfig {
  const parameters = new Map(Object.entries(connection.parameters))
  const take = (name: string): string | undefined => {
    const value = parameters.get(name)
    parameters.delete(name)
    return value === '' ? undefined : value
  }
  const applicationName = take('application_name')
  const fallbackName = take('fallback_application_name')
  const options = take('options')
  const channelBinding = take('channel_binding')
  const connectTimeoutMs = connectTimeout(take('connect_timeout'))
  const negotiation = take('sslnegotiation')
  if (take('gssencmode') === 'require')
    throw parameterError('asks for GSSAPI encryption, which is not supported')
  const tls = tlsOptions(connection, take)
  for (const name of parameters.keys()) {
    if (!withoutEffect.has(name)) {
      throw parameterError(`has a parameter that is not known. Supported are ${supported}`)
    }
  }
  if (channelBinding === 'require' && connection.tls !== 'verify-full') {
    // The driver binds the channel where a server offers it, and does without where none does.
    throw parameterError('has channel_binding=require, which is only safe here with sslmode=verify-full')
  }
  return {
    config: {
      host: connection.socketPath ?? connection.host,
      port: connection.port,
      ...(connection.user !== undefined && { user: connection.user }),
      ...(connection.password !== undefined && { password: connection.password }),
      ...(connection.database !== undefined && { database: connection.database }),
      ssl: tls ?? false,
      ...(tls !== undefined && negotiation !== undefined && { sslnegotiation: negotiation }),
      enableChannelBinding: channelBinding === 'prefer' || channelBinding === 'require',
      keepAlive: true,
      application_name: applicationName ?? fallbackName ?? 'asherah',
      ...(options !== undefined && { options }),
    },
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
  }
}

/** Seconds; 0 and what is below mean for libpq that it waits for ever, which nothing does here. */
function connectTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  if (!/^-?\d{1,6}$/.test(text)) throw parameterError('has a connect_timeout that is no number of seconds')
  return Number(text) > 0 ? Number(text) * 1000 : undefined
}

/** What `sslmode` and its files mean to libpq (contract section 5.4); TLS is never used on a Unix socket. */
function tlsOptions(
  connection: DatabaseConnection,
  take: (name: string) => string | undefined,
): ConnectionOptions | undefined {
  const rootPath = take('sslrootcert')
  const certificatePath = take('sslcert')
  const keyPath = take('sslkey')
  const passphrase = take('sslpassword')
  if (connection.socketPath !== undefined) return undefined
  if (connection.tls === 'off') {
    if (rootPath === undefined) return undefined
    throw parameterError('has an sslrootcert, and no sslmode that would use it: add sslmode=verify-full')
  }
  if ((certificatePath === undefined) !== (keyPath === undefined)) {
    throw parameterError('has one of sslcert and sslkey; give both')
  }
  // libpq's word for the certificates of the system: for Node its own, and those of NODE_EXTRA_CA_CERTS.
  const system = rootPath === 'system'
  if (system && connection.tls !== 'verify-full') {
    throw parameterError('has sslrootcert=system, which needs sslmode=verify-full')
  }
  const { host = '' } = connection
  // As in libpq, `require` with a certificate to check against checks the chain.
  const verifiesChain = connection.tls !== 'unverified' || rootPath !== undefined
  const verifiesHost = connection.tls === 'verify-full'
  return {
    rejectUnauthorized: verifiesChain,
    checkServerIdentity: (_name, certificate) =>
      verifiesHost ? checkServerIdentity(host, certificate) : undefined,
    ...(rootPath !== undefined && !system && { ca: readPem('sslrootcert', rootPath) }),
    ...(certificatePath !== undefined && { cert: readPem('sslcert', certificatePath) }),
    ...(keyPath !== undefined && { key: readPem('sslkey', keyPath) }),
    ...(passphrase !== undefined && { passphrase }),
  }
}
