import type { PostgresAddress } from '../../../../tests/support/servers/postgres.ts'
import { importDriver } from '../../src/driver.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import type { PostgresPool } from '../../src/metastore/postgres/postgres-driver.ts'

/** What these tests use of `pg`. */
export interface Pg {
  readonly Pool: new (config: object) => PgPool
}

export interface PgClient {
  query(text: string | { readonly text: string }, values?: readonly unknown[]): Promise<PgResult>
}

export interface PgResult {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly rowCount: number | null
}

export interface PgPool extends PgClient, PostgresPool {
  on(event: 'connect', listener: (client: PgClient) => void): unknown
  end(): Promise<void>
  readonly totalCount: number
  readonly idleCount: number
}

export const { Pool } = await importDriver<Pg>('pg')

/** A pool that enters as the superuser, through the Unix socket. */
export function superuserPool(server: PostgresAddress, database: string, more: object = {}): PgPool {
  const {
    socketFolder: host,
    port,
    superuser: { user },
  } = server
  return new Pool({ host, port, user, database, max: 4, ...more })
}

/** The contender's way into the database. */
export function openStore(argument: string): Promise<PostgresMetastore> {
  return PostgresMetastore.connect(argument)
}
