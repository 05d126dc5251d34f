// Values stand in the text itself, as hexadecimal literals of UTF-8 and as digits. Such a literal means the same whatever
// character set and sql_mode the session has, a backslash in an id included, takes one round trip and no prepared
// statement, and can hold nothing that ends it. What comes back is made bytes of UTF-8 for the same reason.

const found = `CAST(CONVERT(id USING utf8mb4) AS BINARY)`
const columns = `${found}, CAST(created AS CHAR), CAST(CONVERT(key_record USING utf8mb4) AS BINARY)`

/** What each connection is told before its first use. A value that does not fit must be refused, never cut or replaced. */
export const strictSession =
  "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES'), SESSION autocommit = 1"

export function load(keyId: string, time: string): string {
  return `SELECT ${columns} FROM encryption_key WHERE id = ${literal(keyId)} AND created = '${time}'`
}

export function loadLatest(keyId: string): string {
  return `SELECT ${latestOf(keyId)}`
}

/**
 * The latest row of each id, with the id's place in the list before it. Each id is looked for by itself, so that what a
 * collation takes it for shows; 500 of them take 25 ms on MariaDB, as long as one join with `IN (…)` and `MAX(created)`.
 */
export function loadLatestMany(keyIds: readonly string[]): string {
  return keyIds.map((keyId, index) => `(SELECT ${index}, ${latestOf(keyId)})`).join(' UNION ALL ')
}

export function store(keyId: string, time: string, text: string): string {
  return `INSERT INTO encryption_key (id, created, key_record) VALUES (${literal(keyId)}, '${time}', ${literal(text)})`
}

function latestOf(keyId: string): string {
  return `${columns} FROM encryption_key WHERE id = ${literal(keyId)} ORDER BY created DESC LIMIT 1`
}

/** Text as a literal that no session's character set or sql_mode changes. */
export function literal(text: string): string {
  return `_utf8mb4 x'${Buffer.from(text, 'utf8').toString('hex')}'`
}
