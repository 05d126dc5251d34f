import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { metastoreAdminOf } from '../../src/admin/open-admin.ts'
import { MemoryMetastore } from '../../src/metastore/memory.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'
import { adminContract } from './contract.ts'

adminContract('memory', () => ({ store: new MemoryMetastore(), end: () => undefined }))

adminContract('sqlite', () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-admin-'))
  const file = join(folder, 'keys.db')
  return {
    store: new SqliteMetastore(file),
    damage: (keyId, created) => {
      const database = new DatabaseSync(file)
      const time = new Date(created * 1000).toISOString().slice(0, 19).replace('T', ' ')
      database.prepare('INSERT INTO encryption_key VALUES (?, ?, ?)').run(keyId, time, '{"Created":1}')
      database.close()
    },
    end: () => rmSync(folder, { recursive: true }),
  }
})

adminContract('sqlite, a database that was passed in', () => {
  const database = new DatabaseSync(':memory:')
  return { store: SqliteMetastore.fromDatabase(database), end: () => database.close() }
})

test('a metastore of the user has no admin interface', async () => {
  const own = { load: () => undefined, loadLatest: () => undefined, store: () => true }
  await assert.rejects(metastoreAdminOf(own), { code: 'ERR_NOT_BUILT_IN' })
})

test('the memory metastore counts rows that are deleted', async () => {
  const store = new MemoryMetastore()
  const row = { created: 60, encryptedKey: Uint8Array.of(1) }
  store.store('_SK_a', 60, row)
  const admin = await metastoreAdminOf(store)
  await admin.markRevoked('_SK_a', 60)
  assert.equal(store.size, 1)
  await admin.remove('_SK_a', 60)
  assert.equal(store.size, 0)
})
