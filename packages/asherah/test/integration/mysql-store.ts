import type { MariaDbAddress } from '../../../../tests/support/servers/mariadb.ts'
import {
  createMariaDbDatabase,
  type MariaDbDatabase,
} from '../../../../tests/support/servers/mariadb-database.ts'
import { importDriver } from '../../src/driver.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import type { MysqlPool } from '../../src/metastore/mysql/mysql-driver.ts'

/** What these tests use of `mysql2`. */
export interface Mysql {
  createPool(config: object): CallbackPool
}

export interface CallbackPool extends MysqlPool {
  promise(): PromisePool
}

export interface PromisePool {
  readonly pool: CallbackPool
  query(sql: string, values?: readonly unknown[]): Promise<readonly [readonly Record<string, unknown>[]]>
  execute(sql: string, values?: readonly unknown[]): Promise<unknown>
  on(event: 'connection', listener: (connection: object) => void): unknown
  end(): Promise<void>
}

export const { createPool } = await importDriver<Mysql>('mysql2')

/** A pool that enters as the superuser, through the Unix socket. */
export function superuserPool(server: MariaDbAddress, database: string): PromisePool {
  const { socket: socketPath, superuser } = server
  return createPool({ socketPath, ...superuser, database, connectionLimit: 4, timezone: 'Z' }).promise()
}

/** The contender's way into the database. */
export function openStore(argument: string): Promise<MysqlMetastore> {
  return MysqlMetastore.connect(argument)
}

/** A database with the table of `createTable('mariadb')`, its columns changed where `alter` says so. */
export async function createDatabase(server: MariaDbAddress, alter?: string): Promise<MariaDbDatabase> {
  const database = await createMariaDbDatabase(server, { keyRecord: 'none' })
  await database.query(createTable('mariadb'))
  for (const { user } of [server.limited, server.tlsOnly]) {
    await database.query(`GRANT SELECT, INSERT ON ${database.name}.encryption_key TO ${user}@'%'`)
  }
  if (alter !== undefined) await database.query(`ALTER TABLE encryption_key ${alter}`)
  return database
}
