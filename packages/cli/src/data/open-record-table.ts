import { openRecordDatabase, type ResolvedConfig } from 'asherah/admin'
import { MysqlTable } from './mysql-table.ts'
import { PostgresTable } from './postgres-table.ts'
import type { RecordTable, TableNames } from './record-table.ts'
import { SqliteTable } from './sqlite-table.ts'

/** Opens the table; `connectionString` is undefined where it is beside the keys. */
export async function openRecordTable(
  connectionString: string | undefined,
  resolved: ResolvedConfig,
  names: TableNames,
): Promise<RecordTable> {
  const database = await openRecordDatabase(connectionString, resolved)
  switch (database.dialect) {
    case 'sqlite':
      return SqliteTable.open(database.path, names)
    case 'postgres':
      return PostgresTable.open(database, names)
    case 'mysql':
      return MysqlTable.open(database, names)
  }
}
