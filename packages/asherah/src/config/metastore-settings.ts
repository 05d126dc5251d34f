import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Metastore } from '../metastore/metastore.ts'
import { parseConnectionString } from './connection-string.ts'
import type { DatabaseConnection } from './database-connection.ts'
import { mysqlTlsMode } from './mysql-connection.ts'
import { metastoreNames, offered } from './schema.ts'
import type { Settings } from './settings.ts'
import { isModuleUrl } from './values.ts'

/** Which metastore, with all that it needs but its secrets. */
export type MetastoreConfig =
  | { readonly kind: 'memory' }
  /** An absolute path, or `:memory:`. */
  | { readonly kind: 'sqlite'; readonly path: string }
  /** The connection itself is in `Secrets.connection`. */
  | {
      readonly kind: 'rdbms'
      readonly dialect: 'mysql' | 'postgres'
      readonly replicaReadConsistency?: 'eventual' | 'global' | 'session'
      readonly pool: PoolConfig
    }
  | {
      readonly kind: 'dynamodb'
      readonly tableName: string
      readonly endpoint?: string
      readonly region?: string
      readonly signingRegion?: string
      readonly profile?: string
      /** Whether the client's region is appended to newly written ids. */
      readonly regionSuffix: boolean
    }
  | { readonly kind: 'object'; readonly metastore: Metastore }
  /** A `file:` URL. */
  | { readonly kind: 'module'; readonly url: string }

export interface PoolConfig {
  /** 0: no limit. */
  readonly maxOpen: number
  readonly maxIdle: number
  /** 0: none. */
  readonly maxLifetimeSeconds: number
  /** 0: none. */
  readonly maxIdleTimeSeconds: number
}

export interface ResolvedMetastore {
  readonly config: MetastoreConfig
  readonly connection?: DatabaseConnection
}

/** The variables that name the region of every AWS client of a process. */
export interface RegionEnvironment {
  readonly AWS_REGION?: string | undefined
  readonly AWS_DEFAULT_REGION?: string | undefined
}

/** The metastore that the settings ask for; undefined when a problem was noted. */
export function resolveMetastore(
  settings: Settings,
  ambient: RegionEnvironment,
): ResolvedMetastore | undefined {
  if (!settings.isGiven('metastore')) {
    const names = offered(metastoreNames).join(', ')
    settings.problem('metastore', `is required: ${names}, an object of your own or a file: URL`)
  }
  const value = settings.value('metastore')
  if (settings.flag('enableRegionSuffix') && !isNamed(value, 'dynamodb')) {
    settings.findings.notice(
      `${settings.nameOf('enableRegionSuffix')} has no effect without DynamoDB; ` +
        `${settings.nameOf('regionSuffix')} works with any metastore.`,
    )
  }
  if (value === undefined) return undefined
  if (isModuleUrl(value)) return { config: { kind: 'module', url: new URL(value).href } }
  if (typeof value !== 'string') return { config: { kind: 'object', metastore: value as Metastore } }
  switch (value.toLowerCase()) {
    case 'sqlite':
    case 'test-debug-sqlite':
      return resolveSqlite(settings)
    case 'rdbms':
      return resolveDatabase(settings)
    case 'dynamodb':
      return resolveDynamoDb(settings, ambient)
    default:
      return { config: { kind: 'memory' } }
  }
}

function resolveSqlite(settings: Settings): ResolvedMetastore | undefined {
  const text = settings.requiredText('connectionString', ' for SQLite: the path of its file')
  if (text === undefined) return undefined
  if (/^(?:mysql|postgres|postgresql):\/\//i.test(text)) {
    settings.problem(
      'connectionString',
      'names a server, but the metastore is SQLite; give the path of a file',
    )
    return undefined
  }
  const path = text.replace(/^sqlite:\/\//i, '')
  if (path === '') {
    settings.problem('connectionString', 'has no path after sqlite://')
    return undefined
  }
  return sqlite(settings, path)
}

function sqlite(settings: Settings, path: string): ResolvedMetastore | undefined {
  if (path === ':memory:') return { config: { kind: 'sqlite', path } }
  // Resolved now: a worker thread or a later chdir() must not lead to another file.
  if (!/^file:/i.test(path)) return { config: { kind: 'sqlite', path: resolve(path) } }
  const url = /^file:\/\//i.test(path) && URL.canParse(path) ? new URL(path) : undefined
  if (url === undefined || url.host !== '' || url.search !== '' || url.hash !== '') {
    settings.problem('connectionString', 'must be a plain path, or a file:// URL without parameters')
    return undefined
  }
  return { config: { kind: 'sqlite', path: fileURLToPath(url) } }
}

function resolveDatabase(settings: Settings): ResolvedMetastore | undefined {
  const replica = settings.choice('replicaReadConsistency')
  const tlsMode = settings.text('mysqlTlsMode')
  const dialect = settings.choice('sqlMetastoreDbType') as 'mysql' | 'postgres' | undefined
  const text = settings.requiredText('connectionString', ' for rdbms')
  if (text === undefined) return undefined
  const parsed = parseConnectionString(text, dialect)
  if ('problem' in parsed) {
    const hint = dialect === undefined ? `; else give ${settings.nameOf('sqlMetastoreDbType')}` : ''
    settings.problem('connectionString', parsed.problem + hint)
    return undefined
  }
  if (settings.origin === 'environment' && parsed.dialect !== dialect) {
    settings.problem('connectionString', `holds the connection string of another database: ${parsed.dialect}`)
    return undefined
  }
  if (parsed.dialect === 'sqlite') return sqlite(settings, parsed.path)
  return {
    config: {
      kind: 'rdbms',
      dialect: parsed.dialect,
      ...(replica !== undefined && {
        replicaReadConsistency: replica as 'eventual' | 'global' | 'session',
      }),
      pool: {
        maxOpen: settings.integer('poolMaxOpen'),
        maxIdle: settings.integer('poolMaxIdle'),
        maxLifetimeSeconds: settings.integer('poolMaxLifetime'),
        maxIdleTimeSeconds: settings.integer('poolMaxIdleTime'),
      },
    },
    connection: tlsMode === undefined ? parsed : withTlsMode(settings, parsed, tlsMode),
  }
}

function withTlsMode(
  settings: Settings,
  connection: DatabaseConnection,
  tlsMode: string,
): DatabaseConnection {
  if (connection.dialect !== 'mysql') return connection
  const tls = mysqlTlsMode(tlsMode)
  if (connection.tlsGiven && connection.tls !== tls) {
    settings.problem('mysqlTlsMode', `contradicts tls= in ${settings.nameOf('connectionString')}; give one`)
  }
  return { ...connection, tls, tlsGiven: true }
}

function resolveDynamoDb(settings: Settings, ambient: RegionEnvironment): ResolvedMetastore | undefined {
  const tableName = settings.requiredText('dynamoDbTableName')
  const endpoint = httpUrl(settings, 'dynamoDbEndpoint', settings.text('dynamoDbEndpoint'))
  const regionSuffix = settings.flag('enableRegionSuffix')
  // Ids are made from it at once, while the SDK would look for its region only later.
  const ambientRegion = regionSuffix ? (ambient.AWS_REGION ?? ambient.AWS_DEFAULT_REGION) : undefined
  const region = regionName(settings, 'dynamoDbRegion') ?? ambientRegion
  const signingRegion = regionName(settings, 'dynamoDbSigningRegion')
  const profile = settings.text('awsProfileName')
  if (regionSuffix && region === undefined && signingRegion === undefined) {
    settings.problem(
      'dynamoDbRegion',
      `is required with ${settings.nameOf('enableRegionSuffix')}, here or as AWS_REGION`,
    )
  }
  if (tableName === undefined) return undefined
  return {
    config: {
      kind: 'dynamodb',
      tableName,
      ...(endpoint !== undefined && { endpoint }),
      ...(region !== undefined && { region }),
      ...(signingRegion !== undefined && { signingRegion }),
      ...(profile !== undefined && { profile }),
      regionSuffix,
    },
  }
}

// It becomes part of a host name.
function regionName(settings: Settings, key: 'dynamoDbRegion' | 'dynamoDbSigningRegion'): string | undefined {
  const region = settings.text(key)
  if (region === undefined || /^[A-Za-z0-9-]+$/.test(region)) return region
  settings.problem(key, 'is no region: it has letters, digits and - only')
  return undefined
}

/** An address of a service as it was given, once it is known to be one. */
export function httpUrl(
  settings: Settings,
  key: 'dynamoDbEndpoint' | 'vaultAddr',
  text: string | undefined,
): string | undefined {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    settings.problem(key, 'must be an https:// (or http://) URL')
    return undefined
  }
  if (url.username !== '' || url.password !== '') {
    settings.problem(key, 'must not hold a user or a password')
    return undefined
  }
  return text
}

function isNamed(value: unknown, name: string): boolean {
  return typeof value === 'string' && value.toLowerCase() === name
}
