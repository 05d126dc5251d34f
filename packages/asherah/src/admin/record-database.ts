import type { ResolvedConfig } from '../config/config.ts'
import { parseConnectionString } from '../config/connection-string.ts'
import type { DatabaseConnection } from '../config/database-connection.ts'
import { importDriver } from '../driver.ts'
import { AsherahError } from '../errors.ts'
import { type MysqlDriver, mysqlClientConfig, OwnMysqlConnection } from '../metastore/mysql/mysql-driver.ts'
import { mysqlErrors } from '../metastore/mysql/mysql-errors.ts'
import { strictSession } from '../metastore/mysql/mysql-statements.ts'
import { openPostgres, postgresClientConfig } from '../metastore/postgres/postgres-client-config.ts'
import type { PostgresDriver } from '../metastore/postgres/postgres-driver.ts'
import { postgresErrors } from '../metastore/postgres/postgres-errors.ts'
import { withDeadline } from '../metastore/sql/deadline.ts'
import { openConnection } from '../metastore/sql/open-connection.ts'
import type { SqlAnswer, SqlConnection, SqlValue } from '../metastore/sql/sql-connection.ts'
import { SqlFault } from '../metastore/sql/sql-fault.ts'

/** Where an application keeps its records: an SQLite file, or a connection to a server. */
export type RecordDatabase = { readonly dialect: 'sqlite'; readonly path: string } | RecordServer

/** One connection to a database server, for statements of an operator's own. */
export interface RecordServer {
  readonly dialect: 'postgres' | 'mysql'
  /**
   * Runs a statement. Values are for Postgres alone (`$1`, without a type); MySQL's stand in the text as literals. Columns
   * are answered as text on Postgres, as bytes on MySQL.
   *
   * @throws AsherahError `ERR_METASTORE` with what the server said, `ERR_TIMEOUT` after `timeoutMs`.
   */
  query(text: string, values?: readonly SqlValue[], timeoutMs?: number): Promise<SqlAnswer>
  close(): Promise<void>
}

/** A statement over many rows may take longer than one that reads a key. */
const shortestTimeoutMs = 60_000

/**
 * Opens the database in which an application keeps its records: that of a connection string, in any form that
 * `connectionString` has, or the one of the metastore.
 *
 * @throws AsherahError `ERR_CONFIG_INVALID`, `ERR_DRIVER_MISSING`, `ERR_METASTORE`; `ERR_NOT_BUILT_IN` when the metastore is
 * no SQL database.
 *
 * @example
 * ```ts
 * const database = await openRecordDatabase('postgres://app:secret@db/orders', resolved)
 * ```
 */
export async function openRecordDatabase(
  connectionString: string | undefined,
  { config, secrets }: ResolvedConfig,
): Promise<RecordDatabase> {
  const { metastore, limits } = config
  if (connectionString !== undefined) {
    const parsed = parseConnectionString(connectionString)
    if ('problem' in parsed) {
      throw new AsherahError('ERR_CONFIG_INVALID', `The connection string of the records ${parsed.problem}.`)
    }
    return parsed.dialect === 'sqlite' ? parsed : openServer(parsed, limits)
  }
  if (metastore.kind === 'sqlite') return { dialect: 'sqlite', path: metastore.path }
  const { connection } = secrets.forBackends()
  if (metastore.kind === 'rdbms' && connection !== undefined) return openServer(connection, limits)
  throw new AsherahError(
    'ERR_NOT_BUILT_IN',
    'The metastore is no SQL database, so the records are elsewhere.',
  )
}

async function openServer(
  connection: DatabaseConnection,
  limits: ResolvedConfig['config']['limits'],
): Promise<RecordServer> {
  const { dialect } = connection
  const opened = await (dialect === 'postgres' ? connectPostgres : connectMysql)(connection, limits)
  const label = dialect === 'postgres' ? 'Postgres' : 'MySQL'
  const usualTimeoutMs = Math.max(limits.queryTimeoutMs, shortestTimeoutMs)
  return {
    dialect,
    query: async (text, values, timeoutMs = usualTimeoutMs) => {
      try {
        return await withDeadline(
          opened.query(text, values),
          timeoutMs,
          `The ${label} database of the records gave no answer in ${timeoutMs} ms.`,
          () => opened.destroy(),
        )
      } catch (error) {
        if (error instanceof AsherahError) throw error
        // The driver's own error carries the statement along, and pieces of rows.
        const cause = new SqlFault(error)
        const said = `The ${label} database of the records refuses: ${cause.message}`
        throw new AsherahError('ERR_METASTORE', said, { cause })
      }
    },
    close: () => opened.end(),
  }
}

async function connectPostgres(
  connection: DatabaseConnection,
  limits: ResolvedConfig['config']['limits'],
): Promise<SqlConnection> {
  const { ways, connectTimeoutMs = limits.connectTimeoutMs } = postgresClientConfig(connection)
  const errors = { ...postgresErrors, label: 'Postgres database of the records' }
  return openPostgres(await importDriver<PostgresDriver>('pg'), ways, [], connectTimeoutMs, errors)
}

async function connectMysql(
  connection: DatabaseConnection,
  { connectTimeoutMs }: ResolvedConfig['config']['limits'],
): Promise<SqlConnection> {
  const config = mysqlClientConfig(connection)
  const errors = { ...mysqlErrors, label: 'MySQL database of the records' }
  const opening = new OwnMysqlConnection(await importDriver<MysqlDriver>('mysql2'), config)
  return openConnection(opening, [strictSession], connectTimeoutMs, errors)
}
