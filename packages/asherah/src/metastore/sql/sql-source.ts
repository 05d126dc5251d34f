import { parseConnectionString } from '../../config/connection-string.ts'
import type { DatabaseConnection } from '../../config/database-connection.ts'
import { AsherahError, argumentError } from '../../errors.ts'
import { ConnectionPool } from './connection-pool.ts'
import { type GivenConnection, GivenPool } from './given-pool.ts'
import type { ConnectionSource, SqlConnection } from './sql-connection.ts'
import type { CheckedOptions } from './sql-options.ts'
import type { SqlDialectErrors } from './sql-runner.ts'

/** What a connection string, or one that was taken apart already, says about a database of this dialect. */
export function connectionOf(
  connection: string | DatabaseConnection,
  dialect: DatabaseConnection['dialect'],
): DatabaseConnection {
  const result = typeof connection === 'string' ? parseConnectionString(connection, dialect) : connection
  if ('problem' in result) {
    throw new AsherahError('ERR_CONFIG_INVALID', `The connection string ${result.problem}.`)
  }
  if (result.dialect === dialect) return result
  const name = dialect === 'mysql' ? 'MySQL' : 'Postgres'
  throw new AsherahError('ERR_CONFIG_INVALID', `The connection string is not one of ${name}.`)
}

/** A pool of our own. */
export function ownPool(
  openOne: () => Promise<SqlConnection>,
  { pool, queryTimeoutMs }: CheckedOptions,
  errors: SqlDialectErrors,
): ConnectionSource {
  return new ConnectionPool(openOne, pool, queryTimeoutMs, (error) => errors.isServerFull(error))
}

/** What a metastore was made with: {@link ownPool}, or a pool of the user's with a `driver`'s connections. */
export function sourceOf<Pool>(
  given: unknown,
  {
    driver,
    isPool,
    take,
    prepare,
    errors,
    waitMs,
  }: {
    readonly driver: string
    readonly isPool: (given: unknown) => given is Pool
    readonly take: (pool: Pool) => Promise<GivenConnection>
    readonly prepare: readonly string[]
    readonly errors: SqlDialectErrors
    readonly waitMs: number
  },
): ConnectionSource {
  if (given instanceof ConnectionPool) return given
  if (!isPool(given)) throw argumentError('pool', `a pool of ${driver}`, given)
  return new GivenPool(() => take(given), prepare, errors, waitMs)
}

type Row = readonly unknown[]

/** The rows of a query for an id; none where the table's characters cannot spell the id, so that no row can have it. */
export async function rowsUnlessUnencodable(
  query: Promise<{ readonly rows: readonly Row[] }>,
  isUnencodable: (error: unknown) => boolean,
): Promise<readonly Row[]> {
  try {
    return (await query).rows
  } catch (error) {
    if (isUnencodable(error)) return []
    throw error
  }
}
