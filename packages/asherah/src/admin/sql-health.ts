import type { AsherahError } from '../errors.ts'
import { createTable } from '../metastore/create-table.ts'
import { isUnique } from '../metastore/mysql/mysql-table.ts'
import type { SqlConnection } from '../metastore/sql/sql-connection.ts'
import { clockFinding, type Finding, fault, type HealthCheck, ok, warning } from './health.ts'
import type { RunOnConnection } from './sql-admin.ts'

type Rows = readonly (readonly (string | undefined)[])[]

async function ask(run: RunOnConnection, text: string): Promise<Rows> {
  return run('read', async (connection: SqlConnection) => {
    const { rows } = await connection.query(text)
    return rows.map((row) =>
      row.map((value) => (value === null || value === undefined ? undefined : String(value))),
    )
  })
}

/** What the statements of each right would do, done to no row. */
const rights = {
  SELECT: 'SELECT id, created, key_record FROM encryption_key WHERE 1 = 0',
  INSERT:
    'INSERT INTO encryption_key (id, created, key_record) SELECT id, created, key_record FROM encryption_key WHERE 1 = 0',
  UPDATE: 'UPDATE encryption_key SET key_record = key_record WHERE 1 = 0',
  DELETE: 'DELETE FROM encryption_key WHERE 1 = 0',
}

async function permissions(run: RunOnConnection): Promise<readonly Finding[]> {
  const missing: string[] = []
  for (const [right, text] of Object.entries(rights)) {
    try {
      await run('read', (connection) => connection.query(text))
    } catch (error) {
      const { cause } = error as AsherahError & {
        readonly cause?: { readonly code?: unknown; readonly errno?: unknown }
      }
      if (cause?.code !== '42501' && cause?.errno !== 1142 && cause?.errno !== 1143) throw error
      missing.push(right)
    }
  }
  const needed = missing.filter((right) => right === 'SELECT' || right === 'INSERT')
  if (needed.length > 0) {
    const list = needed.join(' and ')
    return [
      fault(`The account may not ${list}.`, `GRANT ${needed.join(', ')} ON encryption_key TO the account.`),
    ]
  }
  if (missing.length === 0) return [ok('The account may SELECT, INSERT, UPDATE and DELETE.')]
  return [
    ok(
      `The account may SELECT and INSERT, which is all that applications need; ${missing.join(' and ')}, for what an ` +
        'operator does with keys, it may not.',
    ),
  ]
}

async function clock(run: RunOnConnection, whose: string, text: string): Promise<readonly Finding[]> {
  // Asked twice: the first answer may have had to wait for the connection.
  await ask(run, text)
  const before = Date.now()
  const [[epoch] = []] = await ask(run, text)
  const after = Date.now()
  return [clockFinding(whose, Number(epoch) * 1000 - (before + after) / 2)]
}

/** What PostgreSQL is asked. */
export function postgresChecks(run: RunOnConnection): readonly HealthCheck[] {
  return [
    { name: 'metastore: reach', run: () => postgresReach(run) },
    { name: 'metastore: schema', run: () => postgresSchema(run) },
    { name: 'metastore: time zone', run: () => postgresTimeZone(run) },
    { name: 'metastore: permissions', run: () => permissions(run) },
    {
      name: 'metastore: clock',
      run: () => clock(run, 'the database', 'SELECT extract(epoch FROM clock_timestamp())::text'),
    },
  ]
}

async function postgresReach(run: RunOnConnection): Promise<readonly Finding[]> {
  const [[version, replica, encoding] = []] = await ask(
    run,
    "SELECT current_setting('server_version'), pg_is_in_recovery()::text, current_setting('server_encoding')",
  )
  const name = `PostgreSQL ${version}`
  if (replica === 'true') {
    return [fault(`${name} is a replica, which takes no new keys.`, 'Connect to the primary.')]
  }
  if (encoding === 'UTF8') return [ok(`${name} answers.`)]
  return [
    warning(
      `The database's encoding is ${encoding}: ids with characters that it has not cannot be stored.`,
      'Use a database in UTF8.',
    ),
  ]
}

async function postgresSchema(run: RunOnConnection): Promise<readonly Finding[]> {
  const columns = new Map(
    (
      await ask(
        run,
        `SELECT a.attname, format_type(a.atttypid, a.atttypmod), c.collname, c.collprovider::text, c.collisdeterministic::text
         FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
         WHERE a.attrelid = to_regclass('encryption_key') AND a.attnum > 0 AND NOT a.attisdropped`,
      )
    ).map(([name = '', type = '', ...collation]) => [name, { type, collation }]),
  )
  if (columns.size === 0) {
    return [
      fault(
        'There is no table encryption_key in the search path.',
        `asherah init --yes, or by hand:\n${createTable('postgres')};`,
      ),
    ]
  }
  const [id, created, record] = ['id', 'created', 'key_record'].map((name) => columns.get(name))
  if (id === undefined || created === undefined || record === undefined) {
    return [
      fault(
        'The table encryption_key has not the columns id, created and key_record.',
        createTable('postgres'),
      ),
    ]
  }
  const findings: Finding[] = []
  if (!/^(?:json|jsonb|text|character varying)/.test(record.type)) {
    findings.push(fault(`The column key_record is ${record.type}.`, 'Make it JSONB.'))
  } else if (/^character varying\(\d{1,4}\)$/.test(record.type)) {
    findings.push(
      fault(`The column key_record is ${record.type}, too short for system keys.`, 'Make it JSONB or TEXT.'),
    )
  }
  if (!/^timestamp/.test(created.type)) {
    findings.push(fault(`The column created is ${created.type}.`, 'Make it TIMESTAMPTZ.'))
  }
  if (id.collation[2] === 'false') {
    findings.push(
      fault(
        `The collation ${id.collation[0]} of the column id takes different ids for the same.`,
        'ALTER TABLE encryption_key ALTER COLUMN id TYPE VARCHAR(255) COLLATE "C";',
      ),
    )
  }
  const [unique] = await ask(
    run,
    `SELECT 1 FROM pg_index i WHERE i.indrelid = to_regclass('encryption_key') AND i.indisunique AND i.indpred IS NULL
     AND i.indexprs IS NULL AND i.indnkeyatts = 2 AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
       WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = ARRAY['created', 'id']`,
  )
  if (unique === undefined) {
    findings.push(
      fault(
        'The table lets two keys have the same id and time.',
        'ALTER TABLE encryption_key ADD PRIMARY KEY (id, created);',
      ),
    )
  }
  return findings.length > 0 ? findings : [ok('The table encryption_key is as it must be.')]
}

async function postgresTimeZone(run: RunOnConnection): Promise<readonly Finding[]> {
  const [[type, zone = ''] = []] = await ask(
    run,
    `SELECT format_type(atttypid, NULL), current_setting('TimeZone') FROM pg_attribute
     WHERE attrelid = to_regclass('encryption_key') AND attname = 'created'`,
  )
  if (type === 'timestamp with time zone') return [ok('The column created has a time zone.')]
  if (type === undefined) return []
  if (/^(?:UTC|Etc\/UTC|GMT|Etc\/GMT|Zulu|Universal|Etc\/Zulu)$/i.test(zone)) {
    return [ok(`The column created has no time zone, and the session's is ${zone}.`)]
  }
  return [
    fault(
      `The column created has no time zone, and the session's is ${zone}: the Rust peer's keys of such sessions have another time.`,
      "ALTER TABLE encryption_key ALTER COLUMN created TYPE TIMESTAMPTZ USING created AT TIME ZONE 'UTC'; or have every " +
        "session in UTC: ALTER DATABASE … SET timezone = 'UTC';",
    ),
  ]
}

/** What MySQL and MariaDB are asked. */
export function mysqlChecks(run: RunOnConnection): readonly HealthCheck[] {
  return [
    { name: 'metastore: reach', run: () => mysqlReach(run) },
    { name: 'metastore: schema', run: () => mysqlSchema(run) },
    { name: 'metastore: collation', run: () => mysqlCollation(run) },
    { name: 'metastore: time zone', run: () => mysqlTimeZone(run) },
    { name: 'metastore: permissions', run: () => permissions(run) },
    {
      name: 'metastore: clock',
      run: () => clock(run, 'the database', 'SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) AS CHAR)'),
    },
  ]
}

async function mysqlReach(run: RunOnConnection): Promise<readonly Finding[]> {
  const [[version = '', readOnly] = []] = await ask(run, 'SELECT VERSION(), CAST(@@GLOBAL.read_only AS CHAR)')
  const name = /mariadb/i.test(version) ? `MariaDB ${version.split('-')[0]}` : `MySQL ${version}`
  if (readOnly === '0' || readOnly === 'OFF') return [ok(`${name} answers.`)]
  return [fault(`${name} is a replica, which takes no new keys.`, 'Connect to the primary.')]
}

async function mysqlColumns(
  run: RunOnConnection,
): Promise<ReadonlyMap<string, readonly (string | undefined)[]>> {
  const rows = await ask(
    run,
    `SELECT LOWER(column_name), LOWER(column_type), collation_name, character_set_name FROM information_schema.columns
     WHERE table_schema = DATABASE() AND table_name = 'encryption_key'`,
  )
  return new Map(rows.map(([name = '', ...rest]) => [name, rest]))
}

async function mysqlDialect(run: RunOnConnection): Promise<'mysql' | 'mariadb'> {
  const [[version = ''] = []] = await ask(run, 'SELECT VERSION()')
  return /mariadb/i.test(version) ? 'mariadb' : 'mysql'
}

async function mysqlSchema(run: RunOnConnection): Promise<readonly Finding[]> {
  const columns = await mysqlColumns(run)
  const dialect = await mysqlDialect(run)
  if (columns.size === 0) {
    return [
      fault(
        'There is no table encryption_key in the database.',
        `asherah init --yes, or by hand:\n${createTable(dialect)};`,
      ),
    ]
  }
  const [id, created, record] = ['id', 'created', 'key_record'].map((name) => columns.get(name)?.[0])
  if (id === undefined || created === undefined || record === undefined) {
    return [
      fault('The table encryption_key has not the columns id, created and key_record.', createTable(dialect)),
    ]
  }
  const findings: Finding[] = []
  if (!/^(?:timestamp|datetime)/.test(created)) {
    findings.push(fault(`The column created is ${created}.`, 'Make it DATETIME.'))
  }
  if (!/^(?:text|mediumtext|longtext|json)/.test(record)) {
    findings.push(fault(`The column key_record is ${record}.`, 'Make it TEXT.'))
  }
  if ((await run('read', isUnique)) === false) {
    findings.push(
      fault(
        'The table lets two keys have the same id and time.',
        'ALTER TABLE encryption_key ADD PRIMARY KEY (id, created);',
      ),
    )
  }
  return findings.length > 0 ? findings : [ok('The table encryption_key is as it must be.')]
}

async function mysqlCollation(run: RunOnConnection): Promise<readonly Finding[]> {
  const [, collation, characters] = (await mysqlColumns(run)).get('id') ?? []
  if (collation === undefined) return []
  const to = (await mysqlDialect(run)) === 'mariadb' ? 'utf8mb4_nopad_bin' : 'utf8mb4_0900_bin'
  const mend = `ALTER TABLE encryption_key MODIFY id VARCHAR(255) CHARACTER SET utf8mb4 COLLATE ${to} NOT NULL;`
  if (!collation.endsWith('_bin')) {
    return [
      fault(
        `The collation ${collation} of the column id takes ids that differ in case or accents for the same.`,
        mend,
      ),
    ]
  }
  if (!/^utf8mb4$/.test(characters ?? '')) {
    return [
      warning(`The column id is ${characters}: ids with characters that it has not cannot be stored.`, mend),
    ]
  }
  if (/(?:0900|nopad)_bin$/.test(collation)) return [ok(`The collation ${collation} tells all ids apart.`)]
  return [
    warning(`The collation ${collation} takes ids that differ in spaces at their end for the same.`, mend),
  ]
}

async function mysqlTimeZone(run: RunOnConnection): Promise<readonly Finding[]> {
  const [created = ''] = (await mysqlColumns(run)).get('created') ?? []
  if (created.startsWith('datetime'))
    return [ok('The column created is DATETIME, which no time zone changes.')]
  if (!created.startsWith('timestamp')) return []
  const [[zone, system] = []] = await ask(run, 'SELECT @@SESSION.time_zone, @@GLOBAL.system_time_zone')
  const effective = zone === 'SYSTEM' ? system : zone
  const mend = 'ALTER TABLE encryption_key MODIFY created DATETIME NOT NULL;'
  if (effective === 'UTC' || effective === '+00:00') {
    return [warning('The column created is TIMESTAMP, which ends at 2038-01-19 03:14:07.', mend)]
  }
  return [
    warning(
      `The column created is TIMESTAMP, which ends in 2038 and has not the hour that the time zone ${effective} leaves out in spring.`,
      `SET GLOBAL time_zone = '+00:00'; or, with all processes stopped, ${mend}`,
    ),
  ]
}
