import {
  type DatabaseConnection,
  MalformedConnection,
  percentDecode,
  splitAddress,
  splitParameters,
  splitUrl,
  splitUserInfo,
  type TlsMode,
} from './database-connection.ts'

const defaultPort = 3306
const defaultHost = '127.0.0.1'

/** Parameters of the Go driver that mean nothing to another one (contract section 5.3). */
export const goDriverOnly: ReadonlySet<string> = new Set([
  'allowNativePasswords',
  'allowOldPasswords',
  'charset',
  'checkConnLiveness',
  'clientFoundRows',
  'collation',
  'columnsWithAlias',
  'interpolateParams',
  'loc',
  'maxAllowedPacket',
  'multiStatements',
  'parseTime',
  'readTimeout',
  'rejectReadOnly',
  'timeout',
  'writeTimeout',
])

/** Whether a text is a Go DSN: it says how to connect in words, `…@tcp(…)` or `…@unix(…)`. */
export function isGoDsn(text: string): boolean {
  return addressAt(text) !== undefined
}

/**
 * Reads `user:password@tcp(host:port)/database?parameters`. User and password are literal: the last `@` before an
 * address ends them, so `@ : / ? %` may stand in a password as they are.
 */
export function parseGoDsn(dsn: string): DatabaseConnection {
  const start = addressAt(dsn)
  if (start === undefined) throw new MalformedConnection('is no Go DSN')
  // A raw `/` in the database's name is no such: what looked like the address was a piece of the password.
  const match = /^@?(tcp|unix)\(([^)]*)\)(?:\/([^?/]*))?(?:\?(.*))?$/s.exec(dsn.slice(start))
  if (match === null)
    throw new MalformedConnection('has, after the address, something else than /database?parameters')
  const [, network, address = '', database, query = ''] = match
  return mysql(
    splitUserInfo(dsn.slice(0, start)),
    network === 'unix' ? { socketPath: socketPath(address) } : tcpAddress(address),
    database,
    new Map([...splitParameters(query, true)].filter(([name]) => !goDriverOnly.has(name))),
  )
}

/** Reads `user:password@/database`, which is a Go DSN without an address. */
export function parseAddresslessDsn(dsn: string): DatabaseConnection | undefined {
  const match = /^(.*)@\/([^?]*)(?:\?(.*))?$/s.exec(dsn)
  if (match === null) return undefined
  const [, userInfo, database, query = ''] = match
  return mysql(splitUserInfo(userInfo), tcpAddress(''), database, splitParameters(query, true))
}

/** Reads what follows `mysql://` in a URL, in which user and password are percent-encoded. */
export function parseMysqlUrl(rest: string): DatabaseConnection {
  const { user, password, address, database, query } = splitUrl(rest)
  return mysql(
    {
      ...(user !== undefined && { user: percentDecode(user) }),
      ...(password !== undefined && { password: percentDecode(password) }),
    },
    tcpAddress(address),
    database,
    splitParameters(query, true),
  )
}

/** What `tls=` and `MYSQL_TLS_MODE` mean (contract section 5.4): what is not known is the strictest. */
export function mysqlTlsMode(value: string): TlsMode {
  const mode = value.toLowerCase()
  if (mode === 'false') return 'off'
  return mode === 'skip-verify' ? 'unverified' : 'verify-full'
}

function mysql(
  account: { readonly user?: string; readonly password?: string },
  target: { readonly host: string; readonly port: number } | { readonly socketPath: string },
  database: string | undefined,
  parameters: Map<string, string>,
): DatabaseConnection {
  const tls = parameters.get('tls')
  parameters.delete('tls')
  return {
    dialect: 'mysql',
    ...target,
    ...account,
    ...(database !== undefined && database !== '' && { database: percentDecode(database) }),
    tls: tls === undefined ? 'off' : mysqlTlsMode(tls),
    tlsGiven: tls !== undefined,
    parameters: Object.fromEntries(parameters),
  }
}

function tcpAddress(address: string): { host: string; port: number } {
  const { host, port } = splitAddress(address, defaultPort)
  return { host: host === '' ? defaultHost : host, port }
}

function socketPath(path: string): string {
  if (path === '') throw new MalformedConnection('has unix() without the path of the socket')
  return path
}

/** Where the address starts, at its `@` if it has one: the last place that looks like it. */
function addressAt(text: string): number | undefined {
  return [...text.matchAll(/(?:^|@)(?:tcp|unix)\(/g)].at(-1)?.index
}
