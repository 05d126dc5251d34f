import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { loadCases } from '../../../../tests/support/fixtures.ts'
import { MariaDbServer, namedZones } from '../../../../tests/support/servers/mariadb.ts'
import type { MariaDbDatabase } from '../../../../tests/support/servers/mariadb-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { encodeKeyRecord } from '../../src/metastore/key-record-json.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { metastoreContract, sampleRecord } from '../metastore/contract.ts'
import { createDatabase, createPool, type PromisePool, superuserPool } from './mysql-store.ts'

const { mariadb, certificates } = testServers()
const base = 1_795_315_800
const dateTime = [-30_610_224_000, 253_402_300_799] as const
const timestamp = [1, 2 ** 31 - 1] as const
const contender = new URL('mysql-store.ts', import.meta.url).href

const tables: readonly (readonly [string, string | undefined, readonly [number, number]])[] = [
  ['the table of createTable', undefined, dateTime],
  ['TIMESTAMP and JSON', 'MODIFY created TIMESTAMP NOT NULL, MODIFY key_record JSON NOT NULL', timestamp],
  [
    'TIMESTAMP(6) and a binary id',
    'MODIFY created TIMESTAMP(6) NOT NULL, MODIFY id VARBINARY(1020)',
    timestamp,
  ],
]

for (const [name, alter, range] of tables) {
  let database: MariaDbDatabase
  let superuser: PromisePool
  before(async () => {
    database = await createDatabase(mariadb, alter)
    superuser = superuserPool(mariadb, database.name)
  })
  after(async () => {
    await superuser.end()
    await database.drop()
  })
  metastoreContract(
    `MySQL, ${name}`,
    async () => {
      await superuser.query('DELETE FROM encryption_key')
      const store = await MysqlMetastore.connect(database.dsn())
      return {
        store,
        argument: database.dsn(),
        insertRaw: (keyId, created, text) => insertRaw(superuser, keyId, created, text),
        end: () => store.close(),
      }
    },
    {
      range,
      closes: true,
      keepsText: true,
      // Processes take seconds to start; the race is the database's and not the column type's.
      ...(alter === undefined && { contender }),
      runs: 10,
    },
  )
}

describe("MySQL, a pool of the user's", () => {
  let database: MariaDbDatabase
  let superuser: PromisePool
  before(async () => {
    database = await createDatabase(mariadb)
    superuser = superuserPool(mariadb, database.name)
  })
  after(async () => {
    await superuser.end()
    await database.drop()
  })
  const userPool = (more: object = {}) => {
    const { host, port, limited } = mariadb
    return createPool({ host, port, ...limited, database: database.name, connectionLimit: 5, ...more })
  }

  metastoreContract(
    'as it is',
    async () => {
      await superuser.query('DELETE FROM encryption_key')
      const pool = userPool()
      const store = new MysqlMetastore(pool)
      return {
        store,
        insertRaw: (keyId, created, text) => insertRaw(superuser, keyId, created, text),
        async end() {
          await store.close()
          // Left open.
          assert.deepEqual(
            await pool
              .promise()
              .query('SELECT 1 AS one')
              .then(([rows]) => rows),
            [{ one: 1 }],
          )
          await pool.promise().end()
        },
      }
    },
    { range: dateTime, closes: true, keepsText: true, runs: 5 },
  )

  test('what is no pool is a TypeError', () => {
    for (const given of [undefined, null, {}, 'mysql://h/d', { query() {} }, { pool: 1 }]) {
      assert.throws(() => new MysqlMetastore(given as never), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })

  test('its own parsers, character set and modes change nothing', async (context) => {
    const id = "_SK_o'Br\\ien_é_:id_?_日本"
    for (const [index, settings] of [
      {},
      { charset: 'latin1' },
      { dateStrings: true, rowsAsArray: true, nestTables: '_', namedPlaceholders: true, timezone: '+05:30' },
      { typeCast: () => 'cast by the application', bigNumberStrings: true, supportBigNumbers: true },
      { multipleStatements: true, stringifyObjects: true },
    ].entries()) {
      const pool = userPool(settings).promise()
      context.after(() => pool.end())
      for (const modes of ["''", "'ANSI,NO_BACKSLASH_ESCAPES'", "'ORACLE'"]) {
        pool.on('connection', (connection) => {
          const { query } = connection as { query(sql: string): void }
          query.call(connection, `SET sql_mode = ${modes}, autocommit = 0`)
        })
      }
      const store = new MysqlMetastore(pool)
      const created = base + index
      assert.equal(await store.store(id, created, sampleRecord(created, index)), true)
      assert.equal(await store.store(id, created, sampleRecord(created, 99)), false)
      assert.deepEqual(await store.load(id, created), sampleRecord(created, index))
      assert.deepEqual(await store.loadLatest(id), sampleRecord(created, index))
      assert.deepEqual((await store.loadLatestMany([id, 'x'])).get(id), sampleRecord(created, index))
      // It is committed: another connection sees it.
      const [rows] = await superuser.query(
        'SELECT id FROM encryption_key WHERE id = ? AND created = FROM_UNIXTIME(?)',
        [id, created],
      )
      assert.deepEqual(rows, [{ id }])
    }
  })
})

describe('MySQL rows', () => {
  // A server of its own: its time zone is changed.
  let server: MariaDbServer
  before(async () => {
    server = await MariaDbServer.start({ certificates, timeZone: 'UTC' })
  })
  after(() => server.remove())

  const day = 86_400
  const times = [1, day, 1_783_000_000, base, base + 12 * 3600, 2 ** 31 - 2 * day]

  for (const zone of [...namedZones, '+05:30', '-12:00', '+13:00'] as const) {
    for (const type of ['TIMESTAMP', 'DATETIME'] as const) {
      test(`${type} holds the UTC literal on a server in ${zone}`, async (context) => {
        await server.setTimeZone('UTC')
        const database = await createDatabase(server.address, `MODIFY created ${type} NOT NULL`)
        await server.setTimeZone(zone)
        const store = await MysqlMetastore.connect(database.url())
        context.after(async () => {
          await store.close()
          await database.drop()
        })
        // Those near the ends of TIMESTAMP are moved out of it by some zones.
        const possible = times.filter((time) => type === 'DATETIME' || (time > day && time < 2 ** 31 - day))
        for (const created of possible) {
          assert.equal(await store.store('_SK_a', created, sampleRecord(created, 1)), true)
          assert.deepEqual(await store.load('_SK_a', created), sampleRecord(created, 1))
          assert.deepEqual(await store.loadLatest('_SK_a'), sampleRecord(created, 1))
        }
        // As a session in the server's zone shows it, which is how the other implementations give it.
        const shown = await database.query('SELECT created FROM encryption_key ORDER BY created')
        assert.deepEqual(
          shown.split('\n'),
          possible
            .map((time) => new Date(time * 1000).toISOString().slice(0, 19).replace('T', ' '))
            .toSorted(),
        )
      })
    }
  }

  test('a time that the zone leaves out in spring is a clear error on TIMESTAMP, and kept by DATETIME', async (context) => {
    // 2026-03-08 02:30:00 is not a time in New York.
    const created = Date.UTC(2026, 2, 8, 2, 30) / 1000
    for (const type of ['TIMESTAMP', 'DATETIME'] as const) {
      await server.setTimeZone('UTC')
      const database = await createDatabase(server.address, `MODIFY created ${type} NOT NULL`)
      await server.setTimeZone('America/New_York')
      const store = await MysqlMetastore.connect(database.url())
      context.after(async () => {
        await store.close()
        await database.drop()
      })
      if (type === 'DATETIME') {
        assert.equal(await store.store('_SK_a', created, sampleRecord(created, 1)), true)
        assert.deepEqual(await store.loadLatest('_SK_a'), sampleRecord(created, 1))
        continue
      }
      await assert.rejects(store.store('_SK_a', created, sampleRecord(created, 1)), {
        code: 'ERR_METASTORE',
        message: /time zone leaves out in spring.*DATETIME/s,
      })
      assert.equal(await store.loadLatest('_SK_a'), undefined)
    }
  })

  test('hold the text as it is written, and those of the other implementations are read', async (context) => {
    await server.setTimeZone('UTC')
    const database = await createDatabase(server.address)
    const superuser = superuserPool(server.address, database.name)
    const store = await MysqlMetastore.connect(database.url())
    context.after(async () => {
      await Promise.all([superuser.end(), store.close()])
      await database.drop()
    })
    const record = sampleRecord(base, 1, { parentKeyMeta: { keyId: '_SK_é<&>/"\\', created: base } })
    await store.store('_IK_é_api_catalog', base, record)
    const [stored] = await superuser.query('SELECT id, key_record FROM encryption_key')
    assert.deepEqual(stored, [
      { id: '_IK_é_api_catalog', key_record: encodeKeyRecord('_IK_é_api_catalog', base, record) },
    ])
    const rows = new Map(
      loadCases().flatMap(({ rows: all }) => all.map((row) => [`${row.id}@${row.created}`, row] as const)),
    )
    assert.ok(rows.size >= 10)
    for (const { id, created, keyRecord } of rows.values()) {
      assert.equal(await insertRaw(superuser, `peer${id}`, created, keyRecord), true)
      const expected = JSON.parse(keyRecord) as { Key: string }
      const loaded = await store.load(`peer${id}`, created)
      assert.equal(Buffer.from(loaded?.encryptedKey ?? []).toString('base64'), expected.Key)
    }
  })

  test('of many ids come in one answer', async (context) => {
    const database = await createDatabase(mariadb)
    const store = await MysqlMetastore.connect(database.url())
    context.after(async () => {
      await store.close()
      await database.drop()
    })
    const ids = Array.from({ length: 500 }, (_, index) => `_IK_"${index}',{}_é_api_catalog`)
    await database.query(
      `INSERT INTO encryption_key SELECT CONCAT('_IK_"', i.seq, ''',{}_é_api_catalog'),
         FROM_UNIXTIME(${base} + 60 * g.seq), CONCAT('{"Created":', ${base} + 60 * g.seq, ',"Key":"AQID"}')
       FROM seq_0_to_399 i, seq_0_to_2 g`,
    )
    const rows = await store.loadLatestMany([...ids, ...ids, '', '_IK_\ud800'])
    assert.deepEqual([...rows.keys()].toSorted(), ids.slice(0, 400).toSorted())
    for (const row of rows.values()) {
      assert.deepEqual(row, { created: base + 120, encryptedKey: Uint8Array.of(1, 2, 3) })
    }
    assert.equal((await store.loadLatestMany([])).size, 0)
    assert.equal((await store.loadLatestMany(['_IK_nothing'])).size, 0)
    await database.query(
      `INSERT INTO encryption_key VALUES ('_IK_bad', FROM_UNIXTIME(${base}), '{"Created":1}')`,
    )
    await assert.rejects(store.loadLatestMany([...ids, '_IK_bad']), {
      code: 'ERR_METASTORE_ROW_MALFORMED',
      message: /_IK_bad/,
    })
  })
})

async function insertRaw(pool: PromisePool, keyId: string, created: number, text: string): Promise<boolean> {
  try {
    await pool.execute('INSERT INTO encryption_key VALUES (?, ?, ?)', [
      keyId,
      new Date(created * 1000).toISOString().slice(0, 19).replace('T', ' '),
      text,
    ])
    return true
  } catch (error) {
    // Too long for TEXT, or refused by the check of JSON: what cannot be there.
    assert.ok([1406, 4025].includes(Number((error as { errno?: unknown }).errno)), String(error))
    return false
  }
}
