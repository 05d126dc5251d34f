/**
 * `off`: plaintext; `allow`: plaintext, or TLS without a check where the server demands it; `prefer`: TLS without a check,
 * or plaintext where the server has none; `unverified`: TLS without a check; `verify-ca`: the chain alone; `verify-full`:
 * host name too. MySQL knows neither `allow` nor `prefer`.
 */
export type TlsMode = 'off' | 'allow' | 'prefer' | 'unverified' | 'verify-ca' | 'verify-full'

/** What a connection string says. Everything in it counts as secret. */
export interface DatabaseConnection {
  readonly dialect: 'mysql' | 'postgres'
  /** Host name or address, an IPv6 address without brackets; absent when `socketPath` is there. */
  readonly host?: string
  readonly port?: number
  /** MySQL: the socket; Postgres: the directory that it is in. */
  readonly socketPath?: string
  readonly user?: string
  readonly password?: string
  readonly database?: string
  readonly tls: TlsMode
  /** Whether the string itself chose `tls`. */
  readonly tlsGiven: boolean
  /** What is left for the driver, decoded. */
  readonly parameters: Readonly<Record<string, string>>
}

/** Why a connection string cannot be used, as the rest of a sentence; never a piece of the string. */
export class MalformedConnection extends Error {}

/** The parts of `scheme://user:password@host:port/database?parameters`, still percent-encoded. */
export interface UrlParts {
  readonly user?: string
  readonly password?: string
  readonly address: string
  readonly database?: string
  readonly query: string
}

const encodeHint = 'percent-encode @ : / ? # % in user and password (@ is %40, / is %2F)'

/** Takes a URL apart after its scheme. What a raw reserved character in a password would do to it is refused. */
export function splitUrl(rest: string): UrlParts {
  if (rest.includes('#')) throw new MalformedConnection(`has a raw #; ${encodeHint}`)
  const match = /^(?:([^/?]*)@)?([^/?]*)(?:\/([^?]*))?(?:\?(.*))?$/s.exec(rest)
  if (match === null) throw new MalformedConnection('is no URL')
  const [, userInfo, address = '', database, query = ''] = match
  if (database?.includes('/') || database?.includes('@') || /[@?]/.test(query)) {
    throw new MalformedConnection(`has a reserved character where none can be; ${encodeHint}`)
  }
  return {
    ...splitUserInfo(userInfo),
    address,
    ...(database !== undefined && database !== '' && { database }),
    query,
  }
}

/** The user ends at the first colon; a password may have more of them. */
export function splitUserInfo(userInfo: string | undefined): { user?: string; password?: string } {
  if (userInfo === undefined || userInfo === '') return {}
  const colon = userInfo.indexOf(':')
  if (colon < 0) return { user: userInfo }
  return { user: userInfo.slice(0, colon), password: userInfo.slice(colon + 1) }
}

/** Host and port of `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. */
export function splitAddress(address: string, defaultPort: number): { host: string; port: number } {
  if (address.includes(',')) throw new MalformedConnection('names several hosts; one is supported')
  const match = /^(?:\[([0-9a-f:.%]+)\]|([^:[\]]*))(?::(.*))?$/is.exec(address)
  if (match === null) throw new MalformedConnection(`has an address that is not host:port; ${encodeHint}`)
  const [, bracketed, plain, port] = match
  return { host: bracketed ?? checkedHost(plain ?? ''), port: parsePort(port, defaultPort) }
}

export function parsePort(text: string | undefined, defaultPort: number): number {
  if (text === undefined || text === '') return defaultPort
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new MalformedConnection(`has a port that is no number from 1 to 65535; ${encodeHint}`)
}

function checkedHost(host: string): string {
  if (/[\s@/?#()\p{C}]/u.test(host)) {
    throw new MalformedConnection(`has a character in the host name that none can have; ${encodeHint}`)
  }
  return host
}

export function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new MalformedConnection('has a % that starts no percent-encoded UTF-8 character; write it as %25')
  }
}

/** The parameters after `?`, decoded; the last of a name counts. */
export function splitParameters(query: string, plusIsSpace: boolean): Map<string, string> {
  const parameters = new Map<string, string>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const [name, value] = equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)]
    const spaced = plusIsSpace ? value.replaceAll('+', ' ') : value
    parameters.set(percentDecode(name), percentDecode(spaced))
  }
  return parameters
}
