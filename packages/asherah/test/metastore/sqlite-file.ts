import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { isPromiseLike, type MaybePromise } from '../../src/maybe-promise.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'

/** The contender's way into the file. */
export function openStore(path: string): SqliteMetastore {
  return new SqliteMetastore(path)
}

/** What the store answered without having to wait. */
export function atOnce<T>(answer: MaybePromise<T>): T {
  assert.ok(!isPromiseLike(answer), 'the store has to wait')
  return answer
}

/** A directory that is removed when the test ends. */
export function temporaryDirectory(context: Pick<TestContext, 'after'>): string {
  const directory = makeDirectory()
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export function makeDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'asherah-sqlite-'))
}

/** Inserts a row as the Rust peer does: SQLite itself turns the Unix seconds into text. */
export function insertAsPeer(path: string, keyId: string, created: number, text: string): void {
  const database = new DatabaseSync(path)
  try {
    database.exec('PRAGMA busy_timeout = 5000')
    database
      .prepare("INSERT INTO encryption_key (id, created, key_record) VALUES (?, datetime(?, 'unixepoch'), ?)")
      .run(keyId, created, text)
  } finally {
    database.close()
  }
}
