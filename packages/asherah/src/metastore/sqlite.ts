import { resolve } from 'node:path'
import { fs } from '../builtins.ts'
import { AsherahError, argumentError } from '../errors.ts'
import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import { createTable } from './create-table.ts'
import { internals } from './internals.ts'
import { decodeKeyRecord, encodeKeyRecord, isKeyId, rowMalformed } from './key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from './metastore.ts'
import { firstSecondOfYear1, fromUtcText, toUtcText } from './sql/utc-time.ts'
import { sqliteError } from './sqlite-error.ts'
import { SqliteLock } from './sqlite-lock.ts'

/** What {@link SqliteMetastore} takes besides the path. */
export interface SqliteOptions {
  /**
   * How long a statement waits for another process's lock, in milliseconds; 5,000 unless said. Only a synchronous call, and
   * the constructor, block the thread meanwhile.
   */
  readonly busyTimeoutMs?: number
}

/** What is used of a database object: `better-sqlite3` has it, and `DatabaseSync` of `node:sqlite`. */
export interface SqliteDatabase {
  exec(sql: string): unknown
  prepare(sql: string): SqliteStatement
  /** `better-sqlite3`'s name for it. */
  readonly inTransaction?: boolean
  /** `node:sqlite`'s name for it. */
  readonly isTransaction?: boolean
}

export interface SqliteStatement {
  get(...parameters: string[]): unknown
  run(...parameters: string[]): { readonly changes: number | bigint }
}

const memory = ':memory:'
const createTableIfMissing = createTable('sqlite').replace('TABLE', 'TABLE IF NOT EXISTS')

/**
 * A metastore in an SQLite file, which several processes of one host may share. It answers at once: a statement blocks
 * the thread for as long as SQLite takes, which is microseconds for a read and one fsync for a store. It answers with a
 * promise where another process holds the lock that the statement needs, unless a synchronous call of a session asked.
 *
 * Rows are as the other implementations write them: `created` is the text `YYYY-MM-DD HH:MM:SS` in UTC, years 1 to 9999.
 * A row whose `created` has another form (`T`, fractions, a zone, a number) is not found by `load`, and is an error when
 * it is the latest.
 *
 * @throws AsherahError `ERR_METASTORE` when the file cannot be read or written, `ERR_METASTORE_ROW_MALFORMED` for a row
 * that cannot be understood, `ERR_CLOSED` after `close`.
 *
 * @example
 * ```ts
 * const metastore = new SqliteMetastore('/var/lib/orders/keys.db')
 * const onNode20 = SqliteMetastore.fromDatabase(new Database('/var/lib/orders/keys.db')) // better-sqlite3
 * ```
 */
export class SqliteMetastore implements Metastore {
  readonly #database: SqliteDatabase
  /** What errors call it. */
  readonly #label: string
  readonly #end: () => void
  readonly #lock: SqliteLock
  readonly #load: SqliteStatement
  readonly #loadLatest: SqliteStatement
  readonly #store: SqliteStatement
  #closed = false

  /**
   * Opens the file with `node:sqlite`, or makes it, with its table, readable by this user alone. The journal is a
   * write-ahead log where the file system can carry one. `':memory:'` is a database that only this object sees.
   *
   * @throws AsherahError `ERR_DRIVER_MISSING` where Node has no `node:sqlite` (before 22.13), `ERR_METASTORE` when the
   * file cannot be opened, `ERR_CONFIG_INVALID` for a bad option.
   */
  constructor(path: string, options?: SqliteOptions)
  /** As {@link SqliteMetastore.fromDatabase}. */
  constructor(database: SqliteDatabase)
  constructor(source: string | SqliteDatabase, options: SqliteOptions = {}) {
    const opened = typeof source === 'string' ? openFile(source, options) : given(source)
    const { database } = opened
    this.#lock = new SqliteLock(opened.busyTimeoutMs)
    this.#database = database
    this.#label = opened.label
    this.#end = opened.end
    try {
      this.#lock.runBlocking(() => database.exec(createTableIfMissing))
      // A commit that the system loses would leave records whose keys exist nowhere, so each one is synced to the disk.
      // Keys are stored rarely; WAL's usual NORMAL would save nothing that can be noticed.
      const [synchronous] = columns(database.prepare('PRAGMA synchronous').get())
      if (Number(synchronous) < 2) database.exec('PRAGMA synchronous = FULL')
      this.#load = database.prepare('SELECT key_record FROM encryption_key WHERE id = ? AND created = ?')
      this.#loadLatest = database.prepare(
        'SELECT created, key_record FROM encryption_key WHERE id = ? ORDER BY created DESC LIMIT 1',
      )
      // The columns are named so that a table without their uniqueness is refused here, not found out by two winners.
      this.#store = database.prepare(
        'INSERT INTO encryption_key (id, created, key_record) VALUES (?, ?, ?) ON CONFLICT (id, created) DO NOTHING',
      )
    } catch (error) {
      opened.end()
      throw sqliteError('opened', opened.label, error)
    }
  }

  /**
   * Uses a database that is open already and makes the table when it is missing. The connection should be the metastore's
   * own: a store is refused while a transaction is open on it, since a roll-back would take the key along. Its journal
   * mode and busy timeout stay as they are, `synchronous` is raised to FULL, and `close` leaves it open.
   *
   * @throws AsherahError `ERR_METASTORE` when the table cannot be made or has not the columns and primary key it must have.
   */
  static fromDatabase(database: SqliteDatabase): SqliteMetastore {
    return new SqliteMetastore(database)
  }

  load(keyId: string, created: number): MaybePromise<EnvelopeKeyRecord | undefined> {
    this.#checkOpen()
    const time = toTime(created)
    // What cannot have been stored is absent.
    if (time === undefined || !isKeyId(keyId)) return undefined
    return this.#run('read', () => {
      const row = this.#load.get(keyId, time)
      if (row === undefined) return undefined
      const [text] = columns(row)
      return decodeKeyRecord(keyId, created, asText(keyId, created, text))
    })
  }

  loadLatest(keyId: string): MaybePromise<EnvelopeKeyRecord | undefined> {
    this.#checkOpen()
    if (!isKeyId(keyId)) return undefined
    return this.#run('read', () => {
      const row = this.#loadLatest.get(keyId)
      if (row === undefined) return undefined
      const [time, text] = columns(row)
      const created = fromTime(time)
      if (created === undefined) {
        throw rowMalformed(
          keyId,
          JSON.stringify(String(time).slice(0, 40)),
          "has a 'created' other than YYYY-MM-DD HH:MM:SS",
        )
      }
      return decodeKeyRecord(keyId, created, asText(keyId, created, text))
    })
  }

  store(keyId: string, created: number, record: EnvelopeKeyRecord): MaybePromise<boolean> {
    this.#checkOpen()
    const text = encodeKeyRecord(keyId, created, record)
    const time = toTime(created)
    if (time === undefined || !isKeyId(keyId)) {
      const reason =
        time === undefined
          ? 'a time outside the years 1 to 9999'
          : 'an id that is empty or not well-formed text'
      throw new AsherahError(
        'ERR_METASTORE',
        `The key record ${JSON.stringify(keyId)} created ${created} was not stored: SQLite cannot hold ${reason}.`,
      )
    }
    if (this.#database.inTransaction === true || this.#database.isTransaction === true) {
      throw new AsherahError(
        'ERR_METASTORE',
        `The key record ${JSON.stringify(keyId)} created ${created} was not stored: the given database has a transaction ` +
          'open, and rolling it back would lose the key. Give the metastore a connection of its own.',
      )
    }
    return this.#run('written', () => Number(this.#store.run(keyId, time, text).changes) === 1)
  }

  /** @internal For the admin interface: work on the database itself, with this store's waits and errors. */
  [internals]<T>(action: string, work: (database: SqliteDatabase) => T): MaybePromise<T> {
    this.#checkOpen()
    return this.#run(action, () => work(this.#database))
  }

  /** Closes the file when no call waits any more; a database that was passed in stays open. May be called again. */
  close(): MaybePromise<void> {
    if (this.#closed) return
    this.#closed = true
    const idle = this.#lock.idle()
    const end = (): MaybePromise<void> => this.#run('closed', this.#end)
    return idle === undefined ? end() : idle.then(end)
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new AsherahError(
        'ERR_CLOSED',
        `A call reached the ${this.#label} after it was closed. Open a new one.`,
      )
    }
  }

  #run<T>(action: string, statement: () => T): MaybePromise<T> {
    const typed = (error: unknown): never => {
      throw sqliteError(action, this.#label, error)
    }
    try {
      const answer = this.#lock.run(statement)
      return isPromiseLike(answer) ? answer.then(undefined, typed) : answer
    } catch (error) {
      return typed(error)
    }
  }
}

interface Opened {
  readonly database: SqliteDatabase
  readonly label: string
  readonly end: () => void
  /** 0 where the connection's own busy timeout waits. */
  readonly busyTimeoutMs: number
}

function openFile(path: string, options: SqliteOptions): Opened {
  if (path === '') {
    throw new AsherahError('ERR_CONFIG_INVALID', "The SQLite path is empty: give a file or ':memory:'.")
  }
  const busyTimeoutMs = options.busyTimeoutMs ?? 5_000
  if (!Number.isInteger(busyTimeoutMs) || busyTimeoutMs < 0 || busyTimeoutMs > 0x7fff_ffff) {
    throw new AsherahError(
      'ERR_CONFIG_INVALID',
      `busyTimeoutMs must be a whole number of milliseconds from 0 to 2147483647, not ${String(busyTimeoutMs)}.`,
    )
  }
  const { DatabaseSync } = nodeSqlite()
  // An absolute path is never taken for a `file:` URI.
  const file = path === memory ? memory : resolve(path)
  const label = `SQLite metastore ${file}`
  if (file !== memory) createPrivately(file, label)

  let database: InstanceType<typeof DatabaseSync> | undefined
  try {
    const opened = new DatabaseSync(file)
    database = opened
    opened.exec('PRAGMA busy_timeout = 0')
    new SqliteLock(busyTimeoutMs).runBlocking(() => opened.exec('PRAGMA journal_mode = WAL'))
    return { database: opened, label, end: () => opened.close(), busyTimeoutMs }
  } catch (error) {
    database?.close()
    throw sqliteError('opened', label, error)
  }
}

function given(database: SqliteDatabase): Opened {
  if (typeof database?.exec !== 'function' || typeof database.prepare !== 'function') {
    throw argumentError('database', 'a path, or a better-sqlite3 or node:sqlite database', database)
  }
  return { database, label: 'SQLite metastore in the given database', end: () => {}, busyTimeoutMs: 0 }
}

function nodeSqlite(): typeof import('node:sqlite') {
  const sqlite: typeof import('node:sqlite') | undefined = process.getBuiltinModule('node:sqlite')
  if (sqlite !== undefined) return sqlite
  throw new AsherahError(
    'ERR_DRIVER_MISSING',
    `This Node (${process.version}) has no node:sqlite. Use Node 22.13 or newer, or run "npm install better-sqlite3" and ` +
      'pass SqliteMetastore.fromDatabase(new Database(path)) as the metastore.',
  )
}

/** SQLite would make the file readable by everyone. Its log and shared-memory files take the mode of this one. */
function createPrivately(file: string, label: string): void {
  try {
    fs.closeSync(fs.openSync(file, 'wx', 0o600))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EROFS' && fs.existsSync(file)) return
    if (code !== 'EEXIST') throw sqliteError('created', label, error)
    if (fs.lstatSync(file).isSymbolicLink() && !fs.existsSync(file)) {
      throw new AsherahError(
        'ERR_METASTORE',
        `The ${label} is a symbolic link to a file that does not exist. Give the path of the file itself.`,
        { cause: error },
      )
    }
  }
}

/** The values of a row in the order of the statement's columns, whether rows come as objects or as arrays. */
function columns(row: unknown): readonly unknown[] {
  return Object.values(row as object)
}

function asText(keyId: string, created: number, value: unknown): string {
  if (typeof value === 'string') return value
  throw rowMalformed(keyId, created, 'is not text')
}

function toTime(created: number): string | undefined {
  return toUtcText(created, firstSecondOfYear1)
}

/** Of this form only: the others are never found by their time. */
function fromTime(time: unknown): number | undefined {
  const created = typeof time === 'string' ? fromUtcText(time) : undefined
  return created !== undefined && toTime(created) === time ? created : undefined
}
