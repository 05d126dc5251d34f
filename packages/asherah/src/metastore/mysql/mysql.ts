import type { DatabaseConnection } from '../../config/database-connection.ts'
import { importDriver } from '../../driver.ts'
import { AsherahError } from '../../errors.ts'
import { internals } from '../internals.ts'
import { decodeKeyRecord, encodeKeyRecord, isKeyId, rowMalformed } from '../key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from '../metastore.ts'
import { openConnection } from '../sql/open-connection.ts'
import type { ConnectionSource, SqlConnection } from '../sql/sql-connection.ts'
import { confusedIdError } from '../sql/sql-fault.ts'
import { checkOptions, type SqlMetastoreOptions, type SqlPoolOptions } from '../sql/sql-options.ts'
import { SqlRunner } from '../sql/sql-runner.ts'
import { connectionOf, ownPool, rowsUnlessUnencodable, sourceOf } from '../sql/sql-source.ts'
import { firstSecondOfYear1000, fromUtcText, toUtcText } from '../sql/utc-time.ts'
import {
  GivenMysqlConnection,
  type MysqlDriver,
  type MysqlPool,
  mysqlClientConfig,
  OwnMysqlConnection,
} from './mysql-driver.ts'
import { duplicateEntry, isUnencodable, mysqlErrors } from './mysql-errors.ts'
import { load, loadLatest, loadLatestMany, store, strictSession } from './mysql-statements.ts'
import { isUnique } from './mysql-table.ts'

export type { SqlMetastoreOptions, SqlPoolOptions } from '../sql/sql-options.ts'
export type { MysqlClient, MysqlPool } from './mysql-driver.ts'

/** A pool of `mysql2` or of `mysql2/promise`. */
type GivenMysqlPool = MysqlPool | { readonly pool: MysqlPool }

const remedy =
  'Give its column id a collation that tells all ids apart: utf8mb4_0900_bin on MySQL, utf8mb4_nopad_bin on MariaDB.'

/**
 * A metastore in MySQL, MariaDB, Aurora MySQL, or what speaks their protocol.
 *
 * The table `encryption_key` must be there ({@link createTable}); nothing is ever made or changed but rows inserted. Its
 * `key_record` may be TEXT or JSON, its `created` TIMESTAMP or DATETIME. A time is written as its UTC text whatever the
 * server's time zone is, as the other implementations do (contract section 4.4).
 *
 * Sessions are made strict, so that what does not fit into a column is refused, and commit each row at once.
 *
 * @throws AsherahError `ERR_METASTORE` when the server cannot be reached or refuses, `ERR_TIMEOUT` when it does not answer
 * in time, `ERR_METASTORE_ROW_MALFORMED` for a row that cannot be understood, `ERR_CLOSED` after `close`.
 *
 * @example
 * ```ts
 * const metastore = await MysqlMetastore.connect('app:p@ss@tcp(db:3306)/keys?tls=true')
 * const onMyPool = new MysqlMetastore(createPool({ host: 'db' })) // of `mysql2`; never closed by the metastore
 * ```
 */
export class MysqlMetastore implements Metastore {
  readonly #runner: SqlRunner
  #hasUniqueKey = false

  /** Uses a pool of `mysql2` or `mysql2/promise`, which should be for keys alone; `close` leaves it open. */
  constructor(pool: GivenMysqlPool, options?: SqlMetastoreOptions)
  /** @internal */
  constructor(source: ConnectionSource, options?: SqlMetastoreOptions)
  constructor(given: GivenMysqlPool | ConnectionSource, options: SqlMetastoreOptions = {}) {
    const { replicaReadConsistency, queryTimeoutMs } = checkOptions(options)
    const source = sourceOf(given, {
      driver: 'mysql2',
      isPool,
      take,
      prepare: statementsOf(replicaReadConsistency),
      errors: mysqlErrors,
      waitMs: queryTimeoutMs,
    })
    this.#runner = new SqlRunner(source, mysqlErrors, queryTimeoutMs)
  }

  /**
   * Makes a pool for a connection string, URL or Go DSN, and imports `mysql2`. The first call connects.
   *
   * @throws AsherahError `ERR_DRIVER_MISSING` when `mysql2` is not installed, `ERR_CONFIG_INVALID` for a connection string
   * or option that cannot be used.
   */
  static async connect(
    connection: string | DatabaseConnection,
    options: SqlPoolOptions = {},
  ): Promise<MysqlMetastore> {
    const checked = checkOptions(options)
    const { connectTimeoutMs } = checked
    const config = mysqlClientConfig(connectionOf(connection, 'mysql'))
    const driver = await importDriver<MysqlDriver>('mysql2')
    const prepare = statementsOf(checked.replicaReadConsistency)
    const source = ownPool(
      () => openConnection(new OwnMysqlConnection(driver, config), prepare, connectTimeoutMs, mysqlErrors),
      checked,
      mysqlErrors,
    )
    return new MysqlMetastore(source, options)
  }

  async load(keyId: string, created: number): Promise<EnvelopeKeyRecord | undefined> {
    this.#runner.checkOpen()
    const time = toTime(created)
    // What cannot have been stored is absent.
    if (time === undefined || !isKeyId(keyId)) return undefined
    const rows = await this.#runner.run('read', (connection) => rowsOf(connection, load(keyId, time)))
    return toRecord(keyId, rows[0])
  }

  async loadLatest(keyId: string): Promise<EnvelopeKeyRecord | undefined> {
    this.#runner.checkOpen()
    if (!isKeyId(keyId)) return undefined
    const rows = await this.#runner.run('read', (connection) => rowsOf(connection, loadLatest(keyId)))
    return toRecord(keyId, rows[0])
  }

  /** The latest rows of many ids, in one query; ids without a row are not in the map. */
  async loadLatestMany(keyIds: readonly string[]): Promise<ReadonlyMap<string, EnvelopeKeyRecord>> {
    this.#runner.checkOpen()
    const wanted = [...new Set(keyIds)].filter(isKeyId)
    if (wanted.length === 0) return new Map()
    return this.#runner.run('read', async (connection) => {
      const records = new Map<string, EnvelopeKeyRecord>()
      const add = (keyId: string, row: Row | undefined): void => {
        const record = toRecord(keyId, row)
        if (record !== undefined) records.set(keyId, record)
      }
      try {
        const { rows } = await connection.query(loadLatestMany(wanted))
        for (const [index, ...row] of rows) add(wanted[Number(String(index))] ?? '', row)
        return records
      } catch (error) {
        if (!isUnencodable(error)) throw error
      }
      // One id that no row can have must not hide the rows of the others.
      for (const keyId of wanted) add(keyId, (await rowsOf(connection, loadLatest(keyId)))[0])
      return records
    })
  }

  async store(keyId: string, created: number, record: EnvelopeKeyRecord): Promise<boolean> {
    this.#runner.checkOpen()
    const text = encodeKeyRecord(keyId, created, record)
    const time = toTime(created)
    if (time === undefined || !isKeyId(keyId)) {
      const reason =
        time === undefined
          ? 'a time outside the years 1000 to 9999'
          : 'an id that is empty or not well-formed text'
      throw new AsherahError(
        'ERR_METASTORE',
        `The key record ${JSON.stringify(keyId)} created ${created} was not stored: MySQL cannot hold ${reason}.`,
      )
    }
    return this.#runner.run('written', async (connection) => {
      // Asked until the answer is yes; that there is no table the statement itself says.
      if (!this.#hasUniqueKey) {
        const unique = await isUnique(connection)
        if (unique === false) throw notUniqueError()
        this.#hasUniqueKey = unique === true
      }
      try {
        await connection.query(store(keyId, time, text))
        return true
      } catch (error) {
        if ((error as { errno?: unknown }).errno !== duplicateEntry) throw error
      }
      // Whose row is it? A replica that forwards writes may not show it yet; then the caller's next load tells.
      const { rows } = await connection.query(load(keyId, time))
      for (const row of rows) checkId(keyId, row[0])
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

type Row = readonly unknown[]

function rowsOf(connection: SqlConnection, text: string): Promise<readonly Row[]> {
  return rowsUnlessUnencodable(connection.query(text), isUnencodable)
}

function toRecord(keyId: string, row: Row | undefined): EnvelopeKeyRecord | undefined {
  if (row === undefined) return undefined
  const [id, time, text] = row
  checkId(keyId, id)
  const shown = String(time)
  const created = fromUtcText(shown)
  if (created === undefined) {
    throw rowMalformed(keyId, JSON.stringify(shown.slice(0, 40)), 'has a time that is no whole second')
  }
  if (text === null || text === undefined) throw rowMalformed(keyId, created, 'is NULL')
  return decodeKeyRecord(keyId, created, String(text))
}

function checkId(keyId: string, found: unknown): void {
  if (String(found) !== keyId) throw confusedIdError(mysqlErrors.label, keyId, remedy)
}

function notUniqueError(): AsherahError {
  return new AsherahError(
    'ERR_METASTORE',
    'Nothing is stored in the MySQL metastore: the table encryption_key lets two keys have the same id and time. Add ' +
      'PRIMARY KEY (id, created) to it.',
  )
}

/** The promise pool of mysql2 has the other one inside. */
function isPool(given: unknown): given is GivenMysqlPool {
  return typeof (innerPool(given) as Partial<MysqlPool> | null | undefined)?.getConnection === 'function'
}

function innerPool(given: unknown): unknown {
  const { pool = given } = (given ?? {}) as { readonly pool?: unknown }
  return pool
}

function take(given: GivenMysqlPool): Promise<GivenMysqlConnection> {
  return new Promise((resolve, reject) => {
    ;(innerPool(given) as MysqlPool).getConnection((error, connection) => {
      if (error === null || error === undefined) resolve(new GivenMysqlConnection(connection))
      else reject(error)
    })
  })
}

/** What each connection is told before its first use (contract section 4.5); the value is one of three words. */
function statementsOf(consistency: string | undefined): readonly string[] {
  if (consistency === undefined) return [strictSession]
  return [strictSession, `SET aurora_replica_read_consistency = '${consistency}'`]
}

function toTime(created: number): string | undefined {
  return toUtcText(created, firstSecondOfYear1000)
}
