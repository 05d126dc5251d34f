import { withDeadline } from './deadline.ts'
import type { OpeningConnection, SqlConnection } from './sql-connection.ts'
import type { SqlDialectErrors } from './sql-runner.ts'

/** Waits until a connection is ready and the statements of `prepare` have run on it; all within the connect time limit. */
export async function openConnection(
  connection: OpeningConnection,
  prepare: readonly string[],
  connectTimeoutMs: number,
  errors: SqlDialectErrors,
): Promise<SqlConnection> {
  try {
    await withDeadline(
      connection.ready.then(() => prepareConnection(connection, prepare)),
      connectTimeoutMs,
      `The ${errors.label} let nobody in within ${connectTimeoutMs} ms. Check the host, the port and the network between.`,
      () => connection.destroy(),
    )
    return connection
  } catch (error) {
    connection.destroy()
    throw errors.typed('opened', error)
  }
}

export async function prepareConnection(
  connection: SqlConnection,
  statements: readonly string[],
): Promise<void> {
  for (const statement of statements) await connection.query(statement)
}
