import { randomBytes } from 'node:crypto'
import { type MariaDbAddress, queryMariaDb } from './mariadb.ts'
import type { Account } from './postgres.ts'

export interface MariaDbDatabaseOptions {
  /** The type of `key_record`; TEXT by default. `none`: no table at all. MariaDB's JSON is LONGTEXT with a check. */
  readonly keyRecord?: 'TEXT' | 'JSON' | 'none'
  /** The type of `created`; TIMESTAMP by default. */
  readonly created?: 'TIMESTAMP' | 'TIMESTAMP(6)' | 'DATETIME'
  /** The collation of the table, and with it the character set; utf8mb4_bin by default. */
  readonly collation?: 'utf8mb4_bin' | 'utf8mb4_general_ci' | 'latin1_swedish_ci' | 'latin1_bin'
}

/** A database of its own for one test or file. */
export interface MariaDbDatabase {
  readonly server: MariaDbAddress
  readonly name: string
  /** A `mysql://` URL; over TCP with the limited account by default. */
  url(options?: MariaDbUrlOptions): string
  /** The same as a Go DSN with the password as it is: `user:password@tcp(host:port)/database`. */
  dsn(options?: MariaDbUrlOptions & { readonly socket?: boolean }): string
  /** Runs SQL in it as the superuser; rows by lines, columns by tabs. */
  query(sql: string): Promise<string>
  drop(): Promise<void>
}

export interface MariaDbUrlOptions {
  readonly account?: Account
  /** Another place than the server itself, such as a fault proxy's. */
  readonly host?: string
  readonly port?: number
  readonly parameters?: Readonly<Record<string, string>>
}

/** Makes a database with an empty `encryption_key` table that the limited accounts may read and insert into. */
export async function createMariaDbDatabase(
  server: MariaDbAddress,
  options: MariaDbDatabaseOptions = {},
): Promise<MariaDbDatabase> {
  const { keyRecord = 'TEXT', created = 'TIMESTAMP', collation = 'utf8mb4_bin' } = options
  const name = `t_${randomBytes(8).toString('hex')}`
  const [characters] = collation.split('_')
  const table = `CREATE TABLE ${name}.encryption_key (
      id VARCHAR(255) NOT NULL,
      created ${created} NOT NULL DEFAULT CURRENT_TIMESTAMP${created === 'TIMESTAMP(6)' ? '(6)' : ''},
      key_record ${keyRecord} NOT NULL,
      PRIMARY KEY (id, created),
      INDEX (created)
    );
    GRANT SELECT, INSERT ON ${name}.encryption_key TO ${server.limited.user}@'%', ${server.tlsOnly.user}@'%';`
  await queryMariaDb(
    server,
    `CREATE DATABASE ${name} CHARACTER SET ${characters} COLLATE ${collation};
     GRANT CREATE TEMPORARY TABLES ON ${name}.* TO ${server.limited.user}@'%', ${server.tlsOnly.user}@'%';
     ${keyRecord === 'none' ? '' : table}`,
  )
  return {
    server,
    name,
    url: (urlOptions) => url(server, name, urlOptions),
    dsn: (urlOptions) => dsn(server, name, urlOptions),
    query: (sql) => queryMariaDb(server, sql, name),
    drop: async () => {
      await queryMariaDb(server, `DROP DATABASE ${name}`)
    },
  }
}

function url(server: MariaDbAddress, database: string, options: MariaDbUrlOptions = {}): string {
  const { account = server.limited, host = server.host, port = server.port } = options
  const user = `${encodeURIComponent(account.user)}:${encodeURIComponent(account.password)}`
  return `mysql://${user}@${host}:${port}/${database}${query(options)}`
}

function dsn(
  server: MariaDbAddress,
  database: string,
  options: MariaDbUrlOptions & { readonly socket?: boolean } = {},
): string {
  const { account = server.limited, host = server.host, port = server.port, socket = false } = options
  const place = socket ? `unix(${server.socket})` : `tcp(${host}:${port})`
  return `${account.user}:${account.password}@${place}/${database}${query(options)}`
}

function query({ parameters = {} }: MariaDbUrlOptions): string {
  const all = Object.entries(parameters).map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
  return all.length > 0 ? `?${all.join('&')}` : ''
}
