import { connect, isIP, type Socket } from 'node:net'
import type { DatabaseConnection, TlsMode } from '../../config/database-connection.ts'
import { goDriverOnly } from '../../config/mysql-connection.ts'
import { DriverConnection } from '../sql/driver-connection.ts'
import type { GivenConnection } from '../sql/given-pool.ts'
import type { OpeningConnection, SqlAnswer } from '../sql/sql-connection.ts'
import { parameterError, readPem } from '../sql/tls-files.ts'

type Callback = (error: unknown, result?: unknown) => void

/** What is used of a connection of `mysql2`, 3.11 or newer, with callbacks. */
export interface MysqlClient {
  query(options: object, callback: Callback): unknown
  end(callback: Callback): unknown
  destroy(): void
  on(event: 'connect' | 'error' | 'end', listener: (error?: unknown) => void): unknown
  off(event: 'connect' | 'error' | 'end', listener: (error?: unknown) => void): unknown
  /** The socket, or TLS on top of it. */
  readonly stream?: { destroy?(): void }
}

/** What is used of a pool of `mysql2`; one of `mysql2/promise` has it as `pool`. */
export interface MysqlPool {
  getConnection(callback: (error: unknown, connection: MysqlClient & { release(): void }) => void): void
}

/** What is used of the module `mysql2`. */
export interface MysqlDriver {
  createConnection(config: object): MysqlClient
}

abstract class MysqlConnection extends DriverConnection<MysqlClient> {
  /** The text has its values in it already, so nothing is left for the driver to replace. */
  query(text: string): Promise<SqlAnswer> {
    return new Promise((resolve, reject) => {
      this.client.query(
        { sql: text, values: [], rowsAsArray: true, nestTables: false, typeCast: asBytes },
        (error, result) => {
          if (error !== null && error !== undefined) {
            if ((error as { fatal?: unknown }).fatal === true) this.broken()
            reject(error)
          } else if (Array.isArray(result)) {
            resolve({ rows: result as unknown[][], affected: 0 })
          } else {
            resolve({ rows: [], affected: (result as { affectedRows?: number }).affectedRows ?? 0 })
          }
        },
      )
    })
  }

  protected freeSocket(): void {
    this.client.destroy()
    // The driver's own destroy() waits for the server to close its side.
    this.client.stream?.destroy?.()
  }
}

/** A connection that is ours. */
export class OwnMysqlConnection extends MysqlConnection implements OpeningConnection {
  readonly ready: Promise<void>
  readonly #socket: Socket

  constructor(driver: MysqlDriver, config: MysqlClientConfig) {
    const socket = config.dial()
    const client = driver.createConnection({ ...config.options, stream: () => socket })
    super(client)
    this.#socket = socket
    this.ready = new Promise((resolve, reject) => {
      client.on('connect', () => resolve())
      client.on('error', reject)
      client.on('end', () => reject(new Error('The server closed the connection')))
    })
    // Whoever waits is told; a connection that is given up has nobody who waits.
    this.ready.catch(() => undefined)
  }

  end(): Promise<void> {
    return this.leave(() => new Promise((resolve) => this.client.end(() => resolve())))
  }

  protected override freeSocket(): void {
    super.freeSocket()
    this.#socket.destroy()
  }

  keepsAlive(value: boolean): void {
    if (value) this.#socket.ref()
    else this.#socket.unref()
  }
}

/** A connection of a pool that the user passed. */
export class GivenMysqlConnection extends MysqlConnection implements GivenConnection {
  readonly #release: () => void

  constructor(client: MysqlClient & { release(): void }) {
    super(client)
    this.#release = () => client.release()
  }

  get driverConnection(): object {
    return this.client
  }

  giveBack(): void {
    this.detach()
    // The pool forgets a connection that was destroyed by itself.
    if (this.usable) this.#release()
  }

  async end(): Promise<void> {
    this.giveBack()
  }

  keepsAlive(): void {}
}

/** Numbers as text and all else as bytes, whatever the application has set for its own queries. */
function asBytes(field: { readonly type: string; buffer(): Buffer | null }): unknown {
  return field.buffer()
}

/** What is needed to open a connection. */
export interface MysqlClientConfig {
  readonly options: object
  readonly dial: () => Socket
}

/** What the MySQL command's `ssl-mode` says in words of `tls`. */
const sslModes: ReadonlyMap<string, TlsMode> = new Map([
  ['DISABLED', 'off'],
  ['REQUIRED', 'unverified'],
  ['VERIFY_CA', 'verify-ca'],
  ['VERIFY_IDENTITY', 'verify-full'],
])

/**
 * What a connection of `mysql2` needs to be told.
 *
 * @throws AsherahError `ERR_CONFIG_INVALID` for a parameter that is not known or cannot be honoured: what is left out in
 * silence could be what was meant to protect the connection.
 */
export function mysqlClientConfig(connection: DatabaseConnection): MysqlClientConfig {
  const parameters = new Map(Object.entries(connection.parameters))
  const take = (name: string): string | undefined => {
    const value = parameters.get(name)
    parameters.delete(name)
    return value === '' ? undefined : value
  }
  const ssl = tlsOptions(connection, take)
  for (const name of parameters.keys()) {
    if (!goDriverOnly.has(name)) {
      throw parameterError(
        'has a parameter that is not known. Supported are tls, ssl-mode, ssl-ca, ssl-cert, ssl-key',
      )
    }
  }
  const { socketPath, host = 'localhost', port = 3306 } = connection
  return {
    dial: () => {
      const socket = socketPath === undefined ? connect({ host, port }) : connect(socketPath)
      socket.setNoDelay(true)
      socket.setKeepAlive(true, 60_000)
      return socket
    },
    options: {
      // The driver has the certificate checked against a name and leaves addresses out. A dot at the end makes a name of
      // an address, and Node takes it away again before it looks for the address in the certificate.
      host: isIP(host) === 0 ? host : `${host}.`,
      port,
      ...(connection.user !== undefined && { user: connection.user }),
      ...(connection.password !== undefined && { password: connection.password }),
      ...(connection.database !== undefined && { database: connection.database }),
      ...(ssl !== undefined && { ssl }),
      charset: 'utf8mb4',
      // The limit of openConnection() covers the start of TLS and the password exchange too.
      connectTimeout: 0,
      // A server could ask for any file of this host otherwise.
      flags: ['-LOCAL_FILES'],
      connectAttributes: { program_name: 'asherah' },
    },
  }
}

/** What `tls` means (contract section 5.4); TLS is never used on a Unix socket. */
function tlsOptions(
  connection: DatabaseConnection,
  take: (name: string) => string | undefined,
): object | undefined {
  const tls = tlsMode(connection, take('ssl-mode'))
  const authority = take('ssl-ca')
  const certificate = take('ssl-cert')
  const key = take('ssl-key')
  if (connection.socketPath !== undefined) return undefined
  if (tls === 'allow' || tls === 'prefer')
    throw parameterError('leaves TLS to the server, which MySQL knows no word for')
  if (tls === 'off') {
    if (authority === undefined) return undefined
    throw parameterError('has an ssl-ca, and no tls that would use it: add tls=true')
  }
  if ((certificate === undefined) !== (key === undefined)) {
    throw parameterError('has one of ssl-cert and ssl-key; give both')
  }
  return {
    rejectUnauthorized: tls !== 'unverified',
    verifyIdentity: tls === 'verify-full',
    minVersion: 'TLSv1.2',
    ...(authority !== undefined && { ca: readPem('ssl-ca', authority) }),
    ...(certificate !== undefined && { cert: readPem('ssl-cert', certificate) }),
    ...(key !== undefined && { key: readPem('ssl-key', key) }),
  }
}

function tlsMode(connection: DatabaseConnection, sslMode: string | undefined): TlsMode {
  if (sslMode === undefined) return connection.tls
  const mode = sslModes.get(sslMode.toUpperCase())
  if (mode === undefined) {
    throw parameterError(`has an ssl-mode that is none of ${[...sslModes.keys()].join(', ')}`)
  }
  if (connection.tlsGiven && connection.tls !== mode)
    throw parameterError('has a tls and another ssl-mode; give one')
  return mode
}
