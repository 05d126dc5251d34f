/** The databases that {@link createTable} knows. MariaDB and MySQL name their exact collations differently. */
export type SqlDialect = 'postgres' | 'mysql' | 'mariadb' | 'sqlite'

const statements: Readonly<Record<SqlDialect, string>> = {
  // TIMESTAMPTZ is the one type that every implementation fills alike whatever the time zone of host and session
  // (contract section 4.4). Collation C tells every id from every other and outlives an upgrade of the system's library.
  postgres: `CREATE TABLE encryption_key (
  id         VARCHAR(255) COLLATE "C" NOT NULL,
  created    TIMESTAMPTZ              NOT NULL,
  key_record JSONB                    NOT NULL,
  PRIMARY KEY (id, created)
)`,
  // DATETIME has neither the end of TIMESTAMP in 2038 nor the hour that a time zone leaves out in spring.
  mysql: mysqlTable('utf8mb4_0900_bin'),
  mariadb: mysqlTable('utf8mb4_nopad_bin'),
  sqlite: `CREATE TABLE encryption_key (
  id         TEXT      NOT NULL,
  created    TIMESTAMP NOT NULL,
  key_record TEXT      NOT NULL,
  PRIMARY KEY (id, created)
)`,
}

/**
 * The SQL statement that makes the table of a database, which is never made or changed without being asked.
 *
 * The account of the application needs `SELECT` and `INSERT` on it, and nothing else. Tables that were made for other
 * implementations are used as they are.
 *
 * @example
 * ```ts
 * await pool.query(createTable('postgres'))
 * ```
 */
export function createTable(dialect: SqlDialect): string {
  return statements[dialect]
}

function mysqlTable(collation: string): string {
  return `CREATE TABLE encryption_key (
  id         VARCHAR(255) CHARACTER SET utf8mb4 COLLATE ${collation} NOT NULL,
  created    DATETIME NOT NULL,
  key_record TEXT CHARACTER SET utf8mb4 NOT NULL,
  PRIMARY KEY (id, created)
)`
}
