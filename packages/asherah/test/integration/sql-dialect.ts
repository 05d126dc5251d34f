import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import type { CertificateKind, Certificates } from '../../../../tests/support/servers/certificates.ts'
import type { Account } from '../../../../tests/support/servers/postgres.ts'
import { AsherahError } from '../../src/errors.ts'
import type { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import type { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import type { SqlMetastoreOptions, SqlPoolOptions } from '../../src/metastore/sql/sql-options.ts'
import { sampleRecord } from '../metastore/contract.ts'

/** 2026-11-22 02:50:00 in UTC. */
export const base = 1_795_315_800

export type SqlStore = PostgresMetastore | MysqlMetastore

export interface SqlUrlOptions {
  readonly account?: Account
  readonly host?: string
  readonly port?: number
  readonly parameters?: Readonly<Record<string, string>>
}

export interface SqlDatabase {
  readonly name: string
  /** A connection string over TCP, with the limited account unless said. */
  url(options?: SqlUrlOptions): string
  /** Runs SQL in it as the superuser: rows by lines. */
  query(sql: string): Promise<string>
  drop(): Promise<void>
}

/** A pool of the driver's, as an application makes one, with the limited account. */
export interface SqlUserPool {
  store(options?: SqlMetastoreOptions): SqlStore
  query(sql: string): Promise<unknown>
  end(): Promise<void>
}

export interface SqlServerOptions {
  readonly certificates: Certificates
  readonly certificate?: CertificateKind
  readonly tls?: false
  readonly maxConnections?: number
}

export interface SqlServer {
  readonly address: { readonly port: number; readonly limited: Account; readonly tlsOnly: Account }
  /** A database with the table that createTable() makes. */
  createDatabase(): Promise<SqlDatabase>
  /** `query` works within one transaction where `max` is 1. */
  userPool(database: SqlDatabase, max: number, port?: number): SqlUserPool
  /** How many connections the limited account has; `database` is where the question is asked. */
  sessions(database: SqlDatabase): Promise<number>
  restart(): Promise<void>
  kill(): Promise<void>
  remove(): Promise<void>
}

/** What a suite that runs for both databases needs to know of each. */
export interface SqlDialect {
  readonly name: 'Postgres' | 'MySQL'
  /** How to import the metastore in another process. */
  readonly module: { readonly url: string; readonly name: string }
  connect(text: string, options?: SqlPoolOptions): Promise<SqlStore>
  start(options: SqlServerOptions): Promise<SqlServer>
  /** SQL for a time, and for the Unix seconds of the column `created`. */
  time(seconds: number): string
  readonly secondsOfCreated: string
  /** SQL that lets each row tell in `session_id` which connection stored it, and makes ids with `slow` wait for 0.1 s. */
  readonly observe: string
}

/** Stores `count` rows at once, each of which takes 0.1 s where {@link SqlDialect.observe} has run. */
export function storeSlowly(store: SqlStore, name: string, count: number): Promise<boolean[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      store.store(`_IK_slow-${name}-${index}`, base, sampleRecord(base, index)),
    ),
  )
}

/** How many connections stored what {@link storeSlowly} was asked for. */
export async function sessionsThatStored(database: SqlDatabase, name: string): Promise<number> {
  return Number(
    await database.query(
      `SELECT COUNT(DISTINCT session_id) FROM encryption_key WHERE id LIKE '_IK_slow-${name}%'`,
    ),
  )
}

/** An error of ours of one of these codes. */
export function isCode(...codes: AsherahError['code'][]) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError && codes.includes(error.code), String(error))
    return true
  }
}

/** An error of ours that shows no secret of these accounts, however deep one looks. */
export function refusal(
  { limited }: SqlServer['address'] | { readonly limited: Account },
  code: AsherahError['code'],
  message: RegExp,
) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError, inspect(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    const shown = inspect(error, { depth: 10, showHidden: true, getters: true })
    assert.ok(!shown.includes(limited.password) && !shown.includes('p@s:s'), 'the password is shown')
    return true
  }
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it came to pass in 10 s')
    await sleep(20)
  }
}
