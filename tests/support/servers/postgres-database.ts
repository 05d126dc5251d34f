import { randomBytes } from 'node:crypto'
import { type Account, literal, type PostgresAddress, queryPostgres } from './postgres.ts'

export interface PostgresDatabaseOptions {
  /** The type of `key_record`; TEXT by default. `none`: no table at all. */
  readonly keyRecord?: 'TEXT' | 'JSON' | 'JSONB' | 'none'
  /** The type of `created`; `TIMESTAMP`, which is without time zone, by default. */
  readonly created?: 'TIMESTAMP' | 'TIMESTAMPTZ' | 'TIMESTAMP(6)' | 'TIMESTAMPTZ(6)'
  /** The TimeZone of every session in this database, as `America/New_York`; UTC by default. */
  readonly timeZone?: string
  /** The type of `id`; VARCHAR(255) by default. */
  readonly id?: 'VARCHAR(255)' | 'TEXT'
}

/** A database of its own for one test or file. */
export interface PostgresDatabase {
  readonly server: PostgresAddress
  readonly name: string
  /** A `postgres://` URL over TCP; the limited account, without TLS parameters, by default. */
  url(options?: UrlOptions): string
  /** The same as a libpq `key=value` string. */
  keyValues(options?: UrlOptions): string
  /** Runs SQL in it as the superuser, and returns psql's unaligned text. */
  query(sql: string): Promise<string>
  drop(): Promise<void>
}

export interface UrlOptions {
  readonly account?: Account
  /** Another place than the server itself, such as a fault proxy's. */
  readonly host?: string
  readonly port?: number
  readonly parameters?: Readonly<Record<string, string>>
}

/** Makes a database with an empty `encryption_key` table that the limited accounts may read and insert into. */
export async function createPostgresDatabase(
  server: PostgresAddress,
  options: PostgresDatabaseOptions = {},
): Promise<PostgresDatabase> {
  const { keyRecord = 'TEXT', created = 'TIMESTAMP', timeZone = 'UTC', id = 'VARCHAR(255)' } = options
  const name = `t_${randomBytes(8).toString('hex')}`
  await queryPostgres(server, `CREATE DATABASE ${name}`)
  await queryPostgres(server, `ALTER DATABASE ${name} SET timezone = ${literal(timeZone)}`)
  if (keyRecord !== 'none') {
    await queryPostgres(
      server,
      `CREATE TABLE encryption_key (
         id ${id} NOT NULL,
         created ${created} NOT NULL DEFAULT CURRENT_TIMESTAMP,
         key_record ${keyRecord} NOT NULL,
         PRIMARY KEY (id, created)
       );
       CREATE INDEX ON encryption_key (created);
       GRANT SELECT, INSERT ON encryption_key TO ${server.limited.user}, ${server.tlsOnly.user}`,
      name,
    )
  }
  return {
    server,
    name,
    url: (urlOptions) => postgresUrl(server, name, urlOptions),
    keyValues: (urlOptions) => postgresKeyValues(server, name, urlOptions),
    query: (sql) => queryPostgres(server, sql, name),
    drop: async () => {
      await queryPostgres(server, `DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}

function postgresUrl(server: PostgresAddress, database: string, options: UrlOptions = {}): string {
  const { account = server.limited, host = server.host, port = server.port, parameters = {} } = options
  const query = Object.entries(parameters).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
  const user = `${encodeURIComponent(account.user)}:${encodeURIComponent(account.password)}`
  return `postgres://${user}@${host}:${port}/${database}${query.length > 0 ? `?${query.join('&')}` : ''}`
}

/** The same as `key=value`. */
export function postgresKeyValues(
  server: PostgresAddress,
  database: string,
  options: UrlOptions = {},
): string {
  const { account = server.limited, host = server.host, port = server.port, parameters = {} } = options
  const all = { host, port: String(port), dbname: database, user: account.user, password: account.password }
  return Object.entries({ ...all, ...parameters })
    .map(([key, value]) => `${key}='${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`)
    .join(' ')
}
