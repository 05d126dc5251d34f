import { closeSync, mkdirSync, openSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { JobError } from './job-error.ts'
import type { Plan } from './plan.ts'

/** Columns of the table beside the plain ones. */
export const ownColumns = ['_row', '_owner', '_sealed'] as const

/** One row as it rests in the database. */
export interface StoredRow {
  readonly number: number
  readonly owner: string
  /** In the order of the plan's plain columns; null where a JSON object has no such member. */
  readonly plain: readonly (string | null)[]
  /** The sensitive part, sealed: a DataRowRecord. */
  readonly sealed: string
}

/** What a run left behind. */
export interface Run {
  readonly source: string
  readonly plan: Plan
  readonly rows: number
  /** False after a run that was stopped. */
  readonly finished: boolean
  /** Where the moved clock stood, in Unix milliseconds. */
  readonly clockMs: number
}

const createRuns = `CREATE TABLE IF NOT EXISTS protection_run (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  source TEXT NOT NULL,
  owner_column TEXT NOT NULL,
  plain_columns TEXT NOT NULL,
  rows INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  clock_ms INTEGER NOT NULL
)`

/** The protected rows in SQLite, beside the library's own table of keys. */
export class RowStore implements Disposable {
  readonly path: string
  readonly database: DatabaseSync

  private constructor(path: string, database: DatabaseSync) {
    this.path = path
    this.database = database
  }

  /** Makes the file, readable by this user alone, when it is missing and `mayCreate`. @throws JobError `ERR_DATABASE` */
  static open(path: string, mayCreate: boolean): RowStore {
    return databaseWork(path, () => {
      if (mayCreate) mkdirSync(dirname(path), { recursive: true })
      closeSync(openSync(path, mayCreate ? 'a' : 'r', 0o600))
      const database = new DatabaseSync(resolve(path), { readOnly: !mayCreate })
      try {
        database.exec('PRAGMA busy_timeout = 5000')
        const tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
        const names = new Set(tables.map(({ name }) => name))
        if (names.has('protected_row') !== names.has('protection_run')) {
          throw new JobError(
            'ERR_DATABASE',
            `${path} has a table of the same name. Choose another with --database PATH`,
          )
        }
        return new RowStore(path, database)
      } catch (error) {
        database.close()
        throw error
      }
    })
  }

  /** Undefined before the first run. */
  lastRun(): Run | undefined {
    return databaseWork(this.path, () => {
      if (!this.#has('protection_run')) return undefined
      const row = this.database.prepare('SELECT * FROM protection_run').get()
      if (row === undefined) return undefined
      const plainColumns: readonly string[] = JSON.parse(String(row['plain_columns']))
      return {
        source: String(row['source']),
        plan: { ownerColumn: String(row['owner_column']), plainColumns },
        rows: Number(row['rows']),
        finished: row['finished'] === 1,
        clockMs: Number(row['clock_ms']),
      }
    })
  }

  holdsKeys(): boolean {
    return databaseWork(this.path, () => {
      if (!this.#has('encryption_key')) return false
      return this.database.prepare('SELECT 1 FROM encryption_key LIMIT 1').get() !== undefined
    })
  }

  /** Replaces the rows of the run before; keys are never deleted. */
  begin(source: string, plan: Plan, clockMs: number): void {
    const columns = ['_row INTEGER PRIMARY KEY', '_owner TEXT NOT NULL', ...plan.plainColumns.map(quoted)]
    this.#inTransaction(() => {
      this.database.exec(`${createRuns}; DROP TABLE IF EXISTS protected_row`)
      this.database.exec(`CREATE TABLE protected_row (${columns.join(', ')}, _sealed TEXT NOT NULL)`)
      this.database
        .prepare('INSERT OR REPLACE INTO protection_run VALUES (1, ?, ?, ?, 0, 0, ?)')
        .run(source, plan.ownerColumn, JSON.stringify(plan.plainColumns), clockMs)
    })
  }

  /** Adds rows, and tells in the same transaction how far the run has come. */
  add(rows: readonly StoredRow[], clockMs: number, finished: boolean): void {
    this.#inTransaction(() => {
      const insert = rows[0] === undefined ? undefined : this.#insert(rows[0].plain.length)
      for (const { number, owner, plain, sealed } of rows) insert?.run(number, owner, ...plain, sealed)
      this.database
        .prepare('UPDATE protection_run SET rows = rows + ?, clock_ms = max(clock_ms, ?), finished = ?')
        .run(rows.length, clockMs, finished ? 1 : 0)
    })
  }

  /** In the order of the source, one at a time. */
  *rows(): Generator<StoredRow, void, undefined> {
    const select = databaseWork(this.path, () =>
      this.database.prepare('SELECT * FROM protected_row ORDER BY _row'),
    )
    select.setReturnArrays(true)
    const rows = select.iterate() as unknown as Iterator<readonly (string | number | null)[]>
    for (;;) {
      const { done, value } = databaseWork(this.path, () => rows.next())
      if (done === true) return
      const [number, owner, ...rest] = value
      const sealed = rest.pop()
      yield {
        number: Number(number),
        owner: String(owner),
        plain: rest.map(textOrNull),
        sealed: String(sealed),
      }
    }
  }

  [Symbol.dispose](): void {
    this.database.close()
  }

  #has(table: string): boolean {
    return (
      this.database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(table) !==
      undefined
    )
  }

  #insert(plainColumns: number): StatementSync {
    return this.database.prepare(
      `INSERT INTO protected_row VALUES (${Array(plainColumns + 3)
        .fill('?')
        .join(', ')})`,
    )
  }

  #inTransaction(work: () => void): void {
    databaseWork(this.path, () => {
      this.database.exec('BEGIN IMMEDIATE')
      try {
        work()
        this.database.exec('COMMIT')
      } catch (error) {
        if (this.database.isTransaction) this.database.exec('ROLLBACK')
        throw error
      }
    })
  }
}

function quoted(column: string): string {
  return `"${column.replaceAll('"', '""')}"`
}

function textOrNull(value: string | number | null): string | null {
  return value === null ? null : String(value)
}

/** Runs what may fail in the system or in SQLite. @throws JobError `ERR_DATABASE` */
export function databaseWork<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof JobError || !(error instanceof Error) || !('code' in error)) throw error
    const missing = error.code === 'ENOENT'
    const reason = missing
      ? 'does not exist. Make it first: npm start'
      : `cannot be used: ${error.message}. Choose another with --database PATH`
    throw new JobError('ERR_DATABASE', `${path} ${reason}`, { cause: error })
  }
}
