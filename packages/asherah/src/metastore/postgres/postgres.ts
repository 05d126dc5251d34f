import type { DatabaseConnection } from '../../config/database-connection.ts'
import { importDriver } from '../../driver.ts'
import { AsherahError } from '../../errors.ts'
import { internals } from '../internals.ts'
import { decodeKeyRecord, encodeKeyRecord, isKeyId, rowMalformed } from '../key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from '../metastore.ts'
import type { ConnectionSource, SqlConnection, SqlValue } from '../sql/sql-connection.ts'
import { confusedIdError } from '../sql/sql-fault.ts'
import { checkOptions, type SqlMetastoreOptions, type SqlPoolOptions } from '../sql/sql-options.ts'
import { SqlRunner } from '../sql/sql-runner.ts'
import { connectionOf, ownPool, rowsUnlessUnencodable, sourceOf } from '../sql/sql-source.ts'
import { firstSecondOfYear1, toUtcText } from '../sql/utc-time.ts'
import { openPostgres, postgresClientConfig } from './postgres-client-config.ts'
import { GivenPostgresConnection, type PostgresDriver, type PostgresPool } from './postgres-driver.ts'
import { isUnencodable, postgresErrors } from './postgres-errors.ts'

export type { SqlMetastoreOptions, SqlPoolOptions } from '../sql/sql-options.ts'
export type { PostgresClient, PostgresPool } from './postgres-driver.ts'

// A parameter without a type takes that of its column, so one statement writes TEXT, JSON and JSONB, and a time with an
// explicit offset of zero is right for TIMESTAMPTZ while TIMESTAMP drops the offset and keeps the UTC wall clock. The
// epoch of a TIMESTAMP is counted as if it were UTC: it is the one form of both types that no TimeZone setting changes.
const load = 'SELECT id, key_record::text FROM encryption_key WHERE id = $1 AND created = $2'
const columns = 'id, extract(epoch FROM created)::text, key_record::text'
const latest = 'ORDER BY created DESC LIMIT 1'
const loadLatest = `SELECT ${columns} FROM encryption_key WHERE id = $1 ${latest}`
const loadLatestMany =
  `SELECT wanted.id, found.* FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL (` +
  `SELECT ${columns} FROM encryption_key WHERE encryption_key.id = wanted.id ${latest}) AS found`
// Naming the columns refuses a table without their uniqueness: it would let two processes both win.
const store =
  'INSERT INTO encryption_key (id, created, key_record) VALUES ($1, $2, $3) ON CONFLICT (id, created) DO NOTHING'

const remedy = 'Give its column id the type VARCHAR(255) with COLLATE "C".'

/**
 * A metastore in PostgreSQL, Aurora PostgreSQL, or what speaks their protocol.
 *
 * The table `encryption_key` must be there ({@link createTable}); nothing is ever made or changed but rows inserted. Its
 * `key_record` may be TEXT, JSON or JSONB, and its `created` with or without a time zone. Rows are as the other
 * implementations write them; with a `created` without time zone their hosts and sessions must be in UTC.
 *
 * @throws AsherahError `ERR_METASTORE` when the server cannot be reached or refuses, `ERR_TIMEOUT` when it does not answer
 * in time, `ERR_METASTORE_ROW_MALFORMED` for a row that cannot be understood, `ERR_CLOSED` after `close`.
 *
 * @example
 * ```ts
 * const metastore = await PostgresMetastore.connect('postgres://app:secret@db/keys?sslmode=verify-full')
 * const onMyPool = new PostgresMetastore(new Pool({ host: 'db' })) // of `pg`; never closed by the metastore
 * ```
 */
export class PostgresMetastore implements Metastore {
  readonly #runner: SqlRunner

  /** Uses a pool of `pg`, which should be for keys alone; `close` leaves it open. */
  constructor(pool: PostgresPool, options?: SqlMetastoreOptions)
  /** @internal */
  constructor(source: ConnectionSource, options?: SqlMetastoreOptions)
  constructor(given: PostgresPool | ConnectionSource, options: SqlMetastoreOptions = {}) {
    const { replicaReadConsistency, queryTimeoutMs } = checkOptions(options)
    const source = sourceOf(given, {
      driver: 'pg',
      isPool,
      take: async (pool) => new GivenPostgresConnection(await pool.connect()),
      prepare: statementsOf(replicaReadConsistency),
      errors: postgresErrors,
      waitMs: queryTimeoutMs,
    })
    this.#runner = new SqlRunner(source, postgresErrors, queryTimeoutMs)
  }

  /**
   * Makes a pool for a connection string, URL or `key=value`, and imports `pg`. The first call connects.
   *
   * @throws AsherahError `ERR_DRIVER_MISSING` when `pg` is not installed, `ERR_CONFIG_INVALID` for a connection string or
   * option that cannot be used.
   */
  static async connect(
    connection: string | DatabaseConnection,
    options: SqlPoolOptions = {},
  ): Promise<PostgresMetastore> {
    const checked = checkOptions(options)
    const { ways, connectTimeoutMs = checked.connectTimeoutMs } = postgresClientConfig(
      connectionOf(connection, 'postgres'),
    )
    const driver = await importDriver<PostgresDriver>('pg')
    const prepare = statementsOf(checked.replicaReadConsistency)
    const source = ownPool(
      () => openPostgres(driver, ways, prepare, connectTimeoutMs),
      checked,
      postgresErrors,
    )
    return new PostgresMetastore(source, options)
  }

  async load(keyId: string, created: number): Promise<EnvelopeKeyRecord | undefined> {
    this.#runner.checkOpen()
    const time = toTime(created)
    // What cannot have been stored is absent.
    if (time === undefined || !isStorableId(keyId)) return undefined
    const rows = await this.#runner.run('read', (connection) => rowsOf(connection, load, [keyId, time]))
    const [row] = rows
    if (row === undefined) return undefined
    const [id, text] = row
    checkId(keyId, id)
    return decodeKeyRecord(keyId, created, asText(keyId, created, text))
  }

  async loadLatest(keyId: string): Promise<EnvelopeKeyRecord | undefined> {
    this.#runner.checkOpen()
    if (!isStorableId(keyId)) return undefined
    const rows = await this.#runner.run('read', (connection) => rowsOf(connection, loadLatest, [keyId]))
    const [row] = rows
    return row === undefined ? undefined : latestRecord(keyId, row)
  }

  /** The latest rows of many ids, in one query; ids without a row are not in the map. */
  async loadLatestMany(keyIds: readonly string[]): Promise<ReadonlyMap<string, EnvelopeKeyRecord>> {
    this.#runner.checkOpen()
    const wanted = [...new Set(keyIds)].filter(isStorableId)
    if (wanted.length === 0) return new Map()
    return this.#runner.run('read', async (connection) => {
      try {
        const { rows } = await connection.query(loadLatestMany, [wanted])
        return new Map(rows.map(([keyId, ...row]) => [String(keyId), latestRecord(String(keyId), row)]))
      } catch (error) {
        if (!isUnencodable(error)) throw error
      }
      // One id that no row can have must not hide the rows of the others.
      const records = new Map<string, EnvelopeKeyRecord>()
      for (const keyId of wanted) {
        const [row] = await rowsOf(connection, loadLatest, [keyId])
        if (row !== undefined) records.set(keyId, latestRecord(keyId, row))
      }
      return records
    })
  }

  async store(keyId: string, created: number, record: EnvelopeKeyRecord): Promise<boolean> {
    this.#runner.checkOpen()
    const text = encodeKeyRecord(keyId, created, record)
    const time = toTime(created)
    if (time === undefined || !isStorableId(keyId)) {
      const reason =
        time === undefined
          ? 'a time outside the years 1 to 9999'
          : 'an id that is empty, not well-formed text, or has a NUL character'
      throw new AsherahError(
        'ERR_METASTORE',
        `The key record ${JSON.stringify(keyId)} created ${created} was not stored: Postgres cannot hold ${reason}.`,
      )
    }
    return this.#runner.run('written', async (connection) => {
      const { affected } = await connection.query(store, [keyId, time, text])
      if (affected === 1) return true
      // Whose row is it? A replica that forwards writes may not show it yet; then the caller's next load tells.
      const { rows } = await connection.query(load, [keyId, time])
      for (const [id] of rows) checkId(keyId, id)
      return false
    })
  }

  /** @internal For the admin interface: work on a connection, with this store's limits and errors. */
  [internals]<T>(action: string, work: (connection: SqlConnection) => Promise<T>): Promise<T> {
    return this.#runner.run(action, work)
  }

  /** Waits for the calls in flight and ends the connections; a pool that was passed in stays open. May be called again. */
  async close(): Promise<void> {
    await this.#runner.close()
  }
}

function isPool(given: unknown): given is PostgresPool {
  return typeof (given as Partial<PostgresPool> | null | undefined)?.connect === 'function'
}

/** What each connection is told before its first use (contract section 4.5); the value is one of three words. */
function statementsOf(consistency: string | undefined): readonly string[] {
  return consistency === undefined ? [] : [`SET apg_write_forward.consistency_mode = '${consistency}'`]
}

function rowsOf(
  connection: SqlConnection,
  text: string,
  values: readonly SqlValue[],
): Promise<readonly (readonly unknown[])[]> {
  return rowsUnlessUnencodable(connection.query(text, values), isUnencodable)
}

function toTime(created: number): string | undefined {
  const text = toUtcText(created, firstSecondOfYear1)
  return text === undefined ? undefined : `${text}+00`
}

function isStorableId(keyId: string): boolean {
  return isKeyId(keyId) && !keyId.includes('\0')
}

function latestRecord(keyId: string, [id, epoch, text]: readonly unknown[]): EnvelopeKeyRecord {
  checkId(keyId, id)
  const [, seconds] = /^(-?\d+)(?:\.0+)?$/.exec(String(epoch)) ?? []
  if (seconds === undefined) {
    throw rowMalformed(
      keyId,
      JSON.stringify(String(epoch).slice(0, 40)),
      'has a time that is no whole second',
    )
  }
  const created = Number(seconds)
  return decodeKeyRecord(keyId, created, asText(keyId, created, text))
}

function checkId(keyId: string, found: unknown): void {
  if (found !== keyId) throw confusedIdError(postgresErrors.label, keyId, remedy)
}

function asText(keyId: string, created: number, value: unknown): string {
  if (typeof value === 'string') return value
  throw rowMalformed(keyId, created, 'is NULL')
}
