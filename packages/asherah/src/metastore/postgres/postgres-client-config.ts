import { type ConnectionOptions, checkServerIdentity } from 'node:tls'
import type { DatabaseConnection, TlsMode } from '../../config/database-connection.ts'
import { openConnection } from '../sql/open-connection.ts'
import type { SqlConnection } from '../sql/sql-connection.ts'
import { parameterError, readPem } from '../sql/tls-files.ts'
import { OwnPostgresConnection, type PostgresDriver } from './postgres-driver.ts'
import { isWayRefused, postgresErrors, speaksNoTls } from './postgres-errors.ts'

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

/** One way to connect. */
interface WayIn {
  /** What a client of `pg` is told. */
  readonly config: object
  /** Whether what went wrong sends on to the next way. */
  readonly leadsOn?: (error: unknown) => boolean
}

/** How to connect, as a connection string says. */
export interface PostgresClientConfig {
  /** One, or two where `sslmode` leaves it to the server whether there is TLS. */
  readonly ways: readonly [WayIn, WayIn?]
  /** `connect_timeout`, in milliseconds. */
  readonly connectTimeoutMs?: number
}

/** Opens a connection on the first way that leads in; all of it within the connect time limit. */
export async function openPostgres(
  driver: PostgresDriver,
  [way, next]: PostgresClientConfig['ways'],
  prepare: readonly string[],
  connectTimeoutMs: number,
  errors = postgresErrors,
): Promise<SqlConnection> {
  const began = performance.now()
  const open = ({ config }: WayIn, milliseconds: number): Promise<SqlConnection> =>
    openConnection(new OwnPostgresConnection(driver, config), prepare, milliseconds, errors)
  try {
    return await open(way, connectTimeoutMs)
  } catch (error) {
    if (next === undefined || way.leadsOn?.(error) !== true) throw error
    return open(next, Math.max(1, connectTimeoutMs - (performance.now() - began)))
  }
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
  if (negotiation === 'direct' && (connection.tls === 'allow' || connection.tls === 'prefer')) {
    throw parameterError(
      'has sslnegotiation=direct, which needs an sslmode that demands TLS: require, or verify-full',
    )
  }
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
  const common = {
    host: connection.socketPath ?? connection.host,
    port: connection.port,
    ...(connection.user !== undefined && { user: connection.user }),
    ...(connection.password !== undefined && { password: connection.password }),
    ...(connection.database !== undefined && { database: connection.database }),
    enableChannelBinding: channelBinding === 'prefer' || channelBinding === 'require',
    keepAlive: true,
    application_name: applicationName ?? fallbackName ?? 'asherah',
    ...(options !== undefined && { options }),
  }
  const plain = { ...common, ssl: false }
  const protectedOne = {
    ...common,
    ssl: tls,
    ...(negotiation !== undefined && { sslnegotiation: negotiation }),
  }
  return {
    ways: waysIn(tls === undefined ? 'off' : connection.tls, plain, protectedOne),
    ...(connectTimeoutMs !== undefined && { connectTimeoutMs }),
  }
}

/**
 * The order of the ways is libpq's. Unlike libpq, `prefer` goes on in plaintext only where the server says that it has no
 * TLS: a handshake that fails is an error, since what broke it may be what wants to read along. `allow` tries TLS where
 * the server lets nobody in without.
 */
function waysIn(tls: TlsMode, plain: object, withTls: object): PostgresClientConfig['ways'] {
  switch (tls) {
    case 'off':
      return [{ config: plain }]
    case 'allow':
      return [{ config: plain, leadsOn: isWayRefused }, { config: withTls }]
    case 'prefer':
      return [{ config: withTls, leadsOn: speaksNoTls }, { config: plain }]
    default:
      return [{ config: withTls }]
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
  const demanded = !['off', 'allow', 'prefer'].includes(connection.tls)
  if (!demanded && rootPath !== undefined) {
    throw parameterError('has an sslrootcert, and no sslmode that would use it: add sslmode=verify-full')
  }
  if (connection.tls === 'off') return undefined
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
  const verifiesChain = connection.tls.startsWith('verify-') || rootPath !== undefined
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
