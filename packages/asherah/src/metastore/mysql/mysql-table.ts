import type { SqlConnection } from '../sql/sql-connection.ts'

const uniqueness = `
  SELECT t.table_type, EXISTS (SELECT 1 FROM information_schema.statistics s
    WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.non_unique = 0
    GROUP BY s.index_name
    HAVING COUNT(*) = 2 AND SUM(s.column_name IN ('id', 'created') AND s.sub_part IS NULL) = 2)
  FROM information_schema.tables t
  WHERE t.table_schema = DATABASE() AND t.table_name = 'encryption_key'`

/** Whether two rows of one id and time cannot be in the table; undefined when there is no table. */
export async function isUnique(connection: SqlConnection): Promise<boolean | undefined> {
  const { rows } = await connection.query(uniqueness)
  const [row] = rows
  if (row === undefined) return undefined
  const [type, unique] = row
  // A view shows no index of what it stands for.
  return String(type) !== 'BASE TABLE' || String(unique) === '1'
}
