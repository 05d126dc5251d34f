import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { SessionFactory } from 'asherah'
import {
  assertExactKeyRow,
  assertExactRecord,
  createKeys,
  decryptRecord,
  encryptRecord,
  jsonStyles,
  type OracleKeys,
  type OracleRow,
} from '../support/oracle.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-ours-'))
after(() => rmSync(folder, { recursive: true }))

const master = randomBytes(32).toString('hex')
const partitions = ['tenant-42', 'grüße', '<>&"\\', 'a_b', '😀', 'x'.repeat(180)]

function rowsOf(path: string): OracleRow[] {
  const database = new DatabaseSync(path, { readOnly: true })
  const rows = database
    .prepare(
      "SELECT id, CAST(strftime('%s', created) AS INTEGER) AS created, key_record AS keyRecord FROM encryption_key",
    )
    .all() as unknown as OracleRow[]
  database.close()
  return rows
}

describe('what we write', () => {
  for (const regionSuffix of [undefined, 'us-west-2']) {
    test(`is read by the oracle, and has the exact shapes (suffix ${regionSuffix ?? 'none'})`, () => {
      const path = join(folder, `ours-${regionSuffix}.db`)
      using factory = new SessionFactory({
        serviceName: 'api',
        productId: 'catalog',
        metastore: 'sqlite',
        connectionString: path,
        kms: 'static',
        staticMasterKeyHex: master,
        ...(regionSuffix === undefined ? {} : { regionSuffix }),
      })
      for (const partition of partitions) {
        const session = factory.getSession(partition)
        for (const size of [0, 1, 64, 8192, 200_000]) {
          const data = randomBytes(size)
          const record = session.encrypt(data)
          assertExactRecord(record)
          assert.equal(Buffer.compare(decryptRecord(master, rowsOf(path), record), data), 0)
        }
      }
      const rows = rowsOf(path)
      assert.equal(rows.length, partitions.length + 1)
      for (const row of rows) {
        assertExactKeyRow(row)
        if (regionSuffix !== undefined) assert.ok(row.id.endsWith(`_${regionSuffix}`))
      }
    })
  }
})

describe('what the oracle writes', () => {
  for (const style of jsonStyles) {
    test(`in the style of ${style} is read by us`, () => {
      const path = join(folder, `oracle-${style}.db`)
      const config = {
        serviceName: 'api',
        productId: 'catalog',
        metastore: 'sqlite',
        connectionString: path,
        kms: 'static',
        staticMasterKeyHex: master,
      } as const
      new SessionFactory(config).close()
      const database = new DatabaseSync(path)
      const insert = database.prepare(
        "INSERT OR IGNORE INTO encryption_key VALUES (?, datetime(?, 'unixepoch'), ?)",
      )
      const now = Math.floor(Date.now() / 1000)
      const created = now - (now % 60)
      let under: OracleKeys | undefined
      let read = 0
      for (const partition of partitions) {
        const keys: OracleKeys = createKeys({
          master,
          service: 'api',
          product: 'catalog',
          partition,
          style,
          systemCreated: created - 60,
          intermediateCreated: created,
          ...(under === undefined ? {} : { under }),
        })
        under = keys
        for (const row of keys.rows) insert.run(row.id, row.created, row.keyRecord)
        const data = randomBytes(500)
        const record = encryptRecord(keys, data, { created: now, style })
        using factory = new SessionFactory(config)
        const session = factory.getSession(partition)
        assert.equal(Buffer.compare(session.decrypt(record), data), 0)
        // Its keys are ours to encrypt with, too.
        assert.equal(Buffer.compare(decryptRecord(master, keys.rows, session.encrypt(data)), data), 0)
        read += 1
      }
      database.close()
      assert.equal(read, partitions.length)
    })
  }
})
