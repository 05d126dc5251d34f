import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { loadCases } from '../../../../tests/support/fixtures.ts'
import { AsherahError } from '../../src/errors.ts'
import type { EnvelopeKeyRecord } from '../../src/metastore/metastore.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'
import { metastoreContract, sampleRecord } from './contract.ts'
import { atOnce, insertAsPeer, makeDirectory, temporaryDirectory } from './sqlite-file.ts'

const years1To9999 = [-62_135_596_800, 253_402_300_799] as const
const base = 1_795_315_800

metastoreContract(
  'sqlite, a file',
  () => {
    const directory = makeDirectory()
    const path = join(directory, 'keys.db')
    const store = new SqliteMetastore(path)
    return {
      store,
      argument: path,
      insertRaw(keyId, created, text) {
        insertAsPeer(path, keyId, created, text)
        return true
      },
      end() {
        atOnce(store.close())
        rmSync(directory, { recursive: true })
      },
    }
  },
  {
    range: years1To9999,
    closes: true,
    keepsText: true,
    contender: new URL('sqlite-file.ts', import.meta.url).href,
    runs: 30,
  },
)

for (const [name, options] of [
  ['objects', {}],
  ['arrays and bigints', { returnArrays: true, readBigInts: true }],
] as const) {
  metastoreContract(
    `sqlite, a given database whose rows are ${name}`,
    () => {
      const database = new DatabaseSync(':memory:', options)
      const store = SqliteMetastore.fromDatabase(database)
      return {
        store,
        insertRaw(keyId, created, text) {
          database
            .prepare("INSERT INTO encryption_key VALUES (?, datetime(?, 'unixepoch'), ?)")
            .run(keyId, created, text)
          return true
        },
        end() {
          atOnce(store.close())
          database.close()
        },
      }
    },
    { range: years1To9999, closes: true, keepsText: true, runs: 100 },
  )
}

test('the SQLite store answers with plain values', () => {
  const store = new SqliteMetastore(':memory:')
  assert.equal(store.store('_SK_a', 60, sampleRecord(60, 1)), true)
  assert.deepEqual(store.load('_SK_a', 60), sampleRecord(60, 1))
  assert.deepEqual(store.loadLatest('_SK_a'), sampleRecord(60, 1))
  atOnce(store.close())
})

test('the table, its key, its texts and the journal are as the Rust peer has them', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const store = new SqliteMetastore(path)
  atOnce(store.store('_SK_api_catalog', base, { created: base, encryptedKey: Uint8Array.of(1, 2, 3) }))
  const child: EnvelopeKeyRecord = {
    created: base + 60,
    encryptedKey: Uint8Array.of(255, 239, 190),
    parentKeyMeta: { keyId: '_SK_é<&>/"\\', created: base },
    revoked: true,
  }
  atOnce(store.store('_IK_é_api_catalog', base + 60, child))
  const database = new DatabaseSync(path)
  context.after(() => database.close())
  assert.deepEqual(
    database
      .prepare('SELECT name, type, pk FROM pragma_table_info(?)')
      .all('encryption_key')
      .map((column) => ({ ...column })),
    [
      { name: 'id', type: 'TEXT', pk: 1 },
      { name: 'created', type: 'TIMESTAMP', pk: 2 },
      { name: 'key_record', type: 'TEXT', pk: 0 },
    ],
  )
  const rows = database
    .prepare('SELECT *, typeof(created) AS kind FROM encryption_key ORDER BY created')
    .all()
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [
      {
        id: '_SK_api_catalog',
        created: '2026-11-22 02:50:00',
        key_record: '{"Created":1795315800,"Key":"AQID"}',
        kind: 'text',
      },
      {
        id: '_IK_é_api_catalog',
        created: '2026-11-22 02:51:00',
        key_record:
          '{"Revoked":true,"Created":1795315860,"Key":"/+++","ParentKeyMeta":{"KeyId":"_SK_é<&>/\\"\\\\","Created":1795315800}}',
        kind: 'text',
      },
    ],
  )
  assert.equal(database.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal')
  atOnce(store.close())
})

test("a time is the text that SQLite's own date function gives", () => {
  const database = new DatabaseSync(':memory:')
  const store = SqliteMetastore.fromDatabase(database)
  const times = [
    years1To9999[0],
    -86_401,
    -1,
    0,
    1,
    951_782_400,
    4_107_542_399,
    2 ** 31,
    2 ** 33,
    years1To9999[1],
  ]
  for (const created of times) {
    atOnce(store.store('_SK_a', created, sampleRecord(created, 1)))
    const row = database
      .prepare("SELECT count(*) AS n FROM encryption_key WHERE created = datetime(?, 'unixepoch')")
      .get(created)
    assert.equal(row?.['n'], 1, String(created))
  }
  database.close()
})

test('every row of the other implementations is read from an SQLite file', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const store = new SqliteMetastore(path)
  context.after(() => store.close())
  const rows = new Map(
    loadCases().flatMap(({ rows: all }) => all.map((row) => [`${row.id}@${row.created}`, row] as const)),
  )
  assert.ok(rows.size >= 10)
  for (const { id, created, keyRecord } of rows.values()) insertAsPeer(path, id, created, keyRecord)
  for (const { id, created, keyRecord } of rows.values()) {
    const record = atOnce(store.load(id, created))
    const expected = JSON.parse(keyRecord) as {
      Key: string
      ParentKeyMeta?: { KeyId: string; Created: number }
    }
    assert.equal(Buffer.from(record?.encryptedKey ?? []).toString('base64'), expected.Key)
    assert.equal(record?.parentKeyMeta?.keyId, expected.ParentKeyMeta?.KeyId)
    assert.equal(record?.parentKeyMeta?.created, expected.ParentKeyMeta?.Created)
  }
})

test('a row whose time has another form is an error as the latest, and not found by its time', () => {
  const text = `{"Created":${base},"Key":"AQID"}`
  for (const created of [
    '2026-11-22T02:50:00',
    '2026-11-22 02:50:00.000',
    '2026-11-22 02:50:00Z',
    '2026-13-45 02:50:00',
    base,
    'soon',
  ]) {
    const database = new DatabaseSync(':memory:')
    const store = SqliteMetastore.fromDatabase(database)
    database.prepare('INSERT INTO encryption_key VALUES (?, ?, ?)').run('_SK_a', created, text)
    assert.equal(store.load('_SK_a', base), undefined)
    assert.throws(
      () => store.loadLatest('_SK_a'),
      (error: unknown) =>
        error instanceof AsherahError &&
        error.code === 'ERR_METASTORE_ROW_MALFORMED' &&
        error.message.includes('"_SK_a"') &&
        error.message.includes(String(created)),
    )
    database.close()
  }
})

test('a key record that is not text is an error', () => {
  const database = new DatabaseSync(':memory:')
  const store = SqliteMetastore.fromDatabase(database)
  const insert = database.prepare("INSERT INTO encryption_key VALUES (?, datetime(?, 'unixepoch'), ?)")
  insert.run('_SK_blob', base, Buffer.from(`{"Created":${base},"Key":"AQID"}`))
  assert.throws(() => store.load('_SK_blob', base), { code: 'ERR_METASTORE_ROW_MALFORMED' })
  assert.throws(() => store.loadLatest('_SK_blob'), { code: 'ERR_METASTORE_ROW_MALFORMED' })
  database.close()
})

test('rows outlive the store, and a second store on the file sees them at once', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const first = new SqliteMetastore(path)
  const second = new SqliteMetastore(path)
  assert.equal(first.store('_SK_a', 60, sampleRecord(60, 1)), true)
  assert.equal(second.store('_SK_a', 60, sampleRecord(60, 2)), false)
  assert.equal(second.store('_SK_a', 120, sampleRecord(120, 2)), true)
  assert.equal(atOnce(first.loadLatest('_SK_a'))?.created, 120)
  atOnce(first.close())
  atOnce(second.close())
  const third = new SqliteMetastore(path)
  assert.deepEqual(third.load('_SK_a', 60), sampleRecord(60, 1))
  atOnce(third.close())
})

test('a given database is left open, and its durability is raised', () => {
  const database = new DatabaseSync(':memory:')
  database.exec('PRAGMA synchronous = OFF')
  const store = SqliteMetastore.fromDatabase(database)
  assert.equal(database.prepare('PRAGMA synchronous').get()?.['synchronous'], 2)
  atOnce(store.close())
  assert.equal(database.isOpen, true)
  assert.throws(() => store.load('_SK_a', 60), { code: 'ERR_CLOSED' })
  database.close()
})

test('a given database with a transaction open refuses a store and still reads', () => {
  const database = new DatabaseSync(':memory:')
  const store = SqliteMetastore.fromDatabase(database)
  atOnce(store.store('_SK_a', 60, sampleRecord(60, 1)))
  database.exec('BEGIN')
  assert.throws(() => store.store('_SK_a', 120, sampleRecord(120, 1)), {
    code: 'ERR_METASTORE',
    message: /transaction/,
  })
  assert.deepEqual(store.loadLatest('_SK_a'), sampleRecord(60, 1))
  database.exec('ROLLBACK')
  assert.equal(store.store('_SK_a', 120, sampleRecord(120, 1)), true)
  database.close()
  assert.throws(() => store.load('_SK_a', 60), { code: 'ERR_METASTORE' })
})

test('a given read-only database is read when it has the table', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const writer = new SqliteMetastore(path)
  atOnce(writer.store('_SK_a', 60, sampleRecord(60, 1)))
  const database = new DatabaseSync(path, { readOnly: true })
  const reader = SqliteMetastore.fromDatabase(database)
  assert.deepEqual(reader.loadLatest('_SK_a'), sampleRecord(60, 1))
  assert.throws(() => reader.store('_SK_a', 120, sampleRecord(120, 1)), {
    code: 'ERR_METASTORE',
    message: /cannot be written/,
  })
  database.close()
  atOnce(writer.close())
})

test('what is neither a path nor a database is a TypeError', () => {
  for (const given of [undefined, null, 5, {}, { exec() {} }]) {
    assert.throws(() => SqliteMetastore.fromDatabase(given as unknown as DatabaseSync), {
      code: 'ERR_INVALID_ARG_TYPE',
    })
  }
})
