import {
  type DatabaseConnection,
  MalformedConnection,
  parsePort,
  percentDecode,
  splitAddress,
  splitParameters,
  splitUrl,
  type TlsMode,
} from './database-connection.ts'

const defaultPort = 5432
const defaultHost = 'localhost'

/** What `sslmode` means to libpq; contract section 5.4 has `allow` and `prefer`, and with them the default, without TLS. */
const tlsModes: ReadonlyMap<string, TlsMode> = new Map([
  ['disable', 'off'],
  ['allow', 'allow'],
  ['prefer', 'prefer'],
  ['require', 'unverified'],
  ['verify-ca', 'verify-ca'],
  ['verify-full', 'verify-full'],
])

/** Whether a text is libpq's `key=value` form; `certain` when it is known to be for Postgres anyway. */
export function isKeywordForm(text: string, certain: boolean): boolean {
  if (certain) return /^\s*\w+\s*=/.test(text)
  return /^\s*(?:host|hostaddr|port|dbname|user|password|sslmode|application_name|options)\s*=/.test(text)
}

/** Reads what follows `postgres://` in a URL, in which user and password are percent-encoded. */
export function parsePostgresUrl(rest: string): DatabaseConnection {
  const { user, password, address, database, query } = splitUrl(rest)
  const parameters = new Map<string, string>()
  if (user !== undefined) parameters.set('user', percentDecode(user))
  if (password !== undefined) parameters.set('password', percentDecode(password))
  if (database !== undefined) parameters.set('dbname', percentDecode(database))
  if (/%2f/i.test(address)) {
    const [, host = '', port] = /^(.*?)(?::([^:]*))?$/s.exec(address) ?? []
    parameters.set('host', percentDecode(host))
    if (port !== undefined) parameters.set('port', port)
  } else {
    const { host, port } = splitAddress(address, defaultPort)
    parameters.set('host', host)
    parameters.set('port', String(port))
  }
  for (const [name, value] of splitParameters(query, false)) parameters.set(name, value)
  return postgres(parameters)
}

/**
 * Reads libpq's `host=… password='…'`: a value that is empty or has a space is quoted, `\` comes before a quote or
 * another `\`.
 */
export function parseKeywordForm(text: string): DatabaseConnection {
  const parameters = new Map<string, string>()
  const pair =
    /\s*([^\s='\\]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'(?=\s|$)|((?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)?(?=\s|$))/suy
  const end = text.trimEnd().length
  while (pair.lastIndex < end) {
    const match = pair.exec(text)
    if (match === null) {
      throw new MalformedConnection(
        "is no list of key=value: write a value that has a space in single quotes, ' and \\ in it as \\' and \\\\",
      )
    }
    const [, name = '', quoted, plain = ''] = match
    parameters.set(name, (quoted ?? plain).replaceAll(/\\(.)/gsu, '$1'))
  }
  return postgres(parameters)
}

function postgres(given: ReadonlyMap<string, string>): DatabaseConnection {
  const parameters = new Map(given)
  const taken = (name: string) => {
    const value = parameters.get(name)
    parameters.delete(name)
    return value === '' ? undefined : value
  }
  const user = taken('user')
  const password = taken('password')
  const database = taken('dbname')
  const host = taken('host')
  const address = taken('hostaddr')
  const port = parsePort(taken('port'), defaultPort)
  const sslMode = taken('sslmode')
  const ssl = taken('ssl')
  return {
    dialect: 'postgres',
    ...target(host, address, port),
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(database !== undefined && { database }),
    tls: tlsMode(sslMode, ssl),
    tlsGiven: sslMode !== undefined || ssl !== undefined,
    parameters: Object.fromEntries(parameters),
  }
}

function target(host: string | undefined, address: string | undefined, port: number) {
  if (host?.includes(',') || address?.includes(',')) {
    throw new MalformedConnection('names several hosts; one is supported')
  }
  if (host?.startsWith('/')) return { socketPath: host, port }
  // With both, libpq connects to the address and checks the certificate against the host name: one of the two is all
  // that is kept here, so a pair that differs would be checked against the wrong one.
  if (host !== undefined && address !== undefined && host !== address) {
    throw new MalformedConnection('has both host and hostaddr; give one')
  }
  return { host: host ?? address ?? defaultHost, port }
}

function tlsMode(sslMode: string | undefined, ssl: string | undefined): TlsMode {
  if (sslMode !== undefined) {
    const mode = tlsModes.get(sslMode)
    if (mode !== undefined) return mode
    throw new MalformedConnection(`has an sslmode that is none of ${[...tlsModes.keys()].join(', ')}`)
  }
  // libpq's default.
  if (ssl === undefined) return 'prefer'
  // Not libpq's, but what Node programs write.
  return ssl === 'false' || ssl === '0' ? 'off' : 'verify-full'
}
