import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { loadCases } from '../../../../tests/support/fixtures.ts'
import {
  createPostgresDatabase,
  type PostgresDatabase,
  type PostgresDatabaseOptions,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { AsherahError } from '../../src/errors.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { encodeKeyRecord } from '../../src/metastore/key-record-json.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { metastoreContract, sampleRecord } from '../metastore/contract.ts'
import { type PgPool, Pool, superuserPool } from './postgres-store.ts'

const { postgres } = testServers()
const { limited } = postgres
const years1To9999 = [-62_135_596_800, 253_402_300_799] as const
const base = 1_795_315_800
const contender = new URL('postgres-store.ts', import.meta.url).href

const tables: readonly (readonly [string, PostgresDatabaseOptions | 'createTable'])[] = [
  ['the table of createTable', 'createTable'],
  ['TEXT and TIMESTAMP in New York', { created: 'TIMESTAMP', timeZone: 'America/New_York' }],
  [
    'JSON and TIMESTAMPTZ(6) in Berlin',
    { keyRecord: 'JSON', created: 'TIMESTAMPTZ(6)', timeZone: 'Europe/Berlin' },
  ],
  [
    'JSONB and TIMESTAMP(6) in Kolkata',
    { keyRecord: 'JSONB', created: 'TIMESTAMP(6)', timeZone: 'Asia/Kolkata' },
  ],
]

for (const [name, options] of tables) {
  let database: PostgresDatabase
  let superuser: PgPool
  before(async () => {
    database = await makeDatabase(options)
    superuser = superuserPool(postgres, database.name)
  })
  after(async () => {
    await superuser.end()
    await database.drop()
  })
  metastoreContract(
    `Postgres, ${name}`,
    async () => {
      await superuser.query('TRUNCATE encryption_key')
      const store = await PostgresMetastore.connect(database.url())
      return {
        store,
        argument: database.url(),
        insertRaw: (keyId, created, text) => insertRaw(superuser, keyId, created, text),
        end: () => store.close(),
      }
    },
    {
      range: years1To9999,
      closes: true,
      keepsText: true,
      // Processes take seconds to start; the race is the database's and not the column type's.
      ...(options === 'createTable' && { contender }),
      runs: 10,
    },
  )
}

describe("Postgres, a pool of the user's", () => {
  let database: PostgresDatabase
  let superuser: PgPool
  before(async () => {
    database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' })
    superuser = superuserPool(postgres, database.name)
  })
  after(async () => {
    await superuser.end()
    await database.drop()
  })
  metastoreContract(
    'as it is',
    async () => {
      await superuser.query('TRUNCATE encryption_key')
      const pool = userPool(database)
      const store = new PostgresMetastore(pool)
      return {
        store,
        insertRaw: (keyId, created, text) => insertRaw(superuser, keyId, created, text),
        async end() {
          await store.close()
          // Left open, and every connection given back.
          assert.equal((await pool.query('SELECT 1 AS one')).rows[0]?.['one'], 1)
          assert.equal(pool.idleCount, pool.totalCount)
          await pool.end()
        },
      }
    },
    { range: years1To9999, closes: true, keepsText: true, runs: 5 },
  )

  test('what is no pool is a TypeError', () => {
    for (const given of [undefined, null, {}, 'postgres://h/d', { query() {} }]) {
      assert.throws(() => new PostgresMetastore(given as never), { code: 'ERR_INVALID_ARG_TYPE' })
    }
  })

  test('its own parsers and settings change nothing', async (context) => {
    const pool = userPool(database, {
      types: { getTypeParser: () => () => 'parsed by the application' },
      options: '-c TimeZone=Australia/Lord_Howe -c DateStyle=SQL,DMY -c IntervalStyle=sql_standard',
      binary: false,
    })
    context.after(() => pool.end())
    const store = new PostgresMetastore(pool)
    assert.equal(await store.store('_SK_parsed', base, sampleRecord(base, 1)), true)
    assert.deepEqual(await store.load('_SK_parsed', base), sampleRecord(base, 1))
    assert.deepEqual(await store.loadLatest('_SK_parsed'), sampleRecord(base, 1))
    assert.equal((await store.loadLatestMany(['_SK_parsed'])).size, 1)
  })
})

describe('Postgres rows', () => {
  const zones = ['UTC', 'America/New_York', 'Asia/Kolkata'] as const
  for (const keyRecord of ['TEXT', 'JSON', 'JSONB'] as const) {
    for (const created of ['TIMESTAMP', 'TIMESTAMPTZ'] as const) {
      test(`${keyRecord} and ${created} hold what the other implementations expect`, async (context) => {
        for (const timeZone of zones) {
          const database = await createPostgresDatabase(postgres, { keyRecord, created, timeZone })
          context.after(database.drop)
          const store = await PostgresMetastore.connect(database.url())
          context.after(() => store.close())
          const record = sampleRecord(base, 1, { parentKeyMeta: { keyId: '_SK_é<&>/"\\', created: base } })
          await store.store('_IK_é_api_catalog', base, record)
          const written = encodeKeyRecord('_IK_é_api_catalog', base, record)
          const stored = await database.query('SELECT key_record FROM encryption_key')
          if (keyRecord === 'JSONB') assert.deepEqual(JSON.parse(stored), JSON.parse(written))
          else assert.equal(stored, written)
          const wallClock = created === 'TIMESTAMP' ? 'created' : "created AT TIME ZONE 'UTC'"
          assert.equal(
            await database.query(
              `SELECT to_char(${wallClock}, 'YYYY-MM-DD HH24:MI:SS.US') FROM encryption_key`,
            ),
            '2026-11-22 02:50:00.000000',
            timeZone,
          )
        }
      })
    }
  }

  test('of every other implementation are read, the time given as each of them gives it', async (context) => {
    for (const [created, expression] of [
      ['TIMESTAMP', "to_timestamp($2) AT TIME ZONE 'UTC'"],
      ['TIMESTAMPTZ', 'to_timestamp($2)'],
    ] as const) {
      const database = await createPostgresDatabase(postgres, {
        keyRecord: 'JSONB',
        created,
        timeZone: 'America/New_York',
      })
      const superuser = superuserPool(postgres, database.name)
      const store = await PostgresMetastore.connect(database.url())
      context.after(async () => {
        await Promise.all([superuser.end(), store.close()])
        await database.drop()
      })
      const rows = new Map(
        loadCases().flatMap(({ rows: all }) => all.map((row) => [`${row.id}@${row.created}`, row] as const)),
      )
      assert.ok(rows.size >= 10)
      for (const { id, created: time, keyRecord } of rows.values()) {
        await superuser.query(`INSERT INTO encryption_key VALUES ($1, ${expression}, $3)`, [
          id,
          time,
          keyRecord,
        ])
      }
      for (const { id, created: time, keyRecord } of rows.values()) {
        const expected = JSON.parse(keyRecord) as { Key: string }
        const record = await store.load(id, time)
        assert.equal(Buffer.from(record?.encryptedKey ?? []).toString('base64'), expected.Key)
      }
    }
  })

  test('with a time that is no whole second are errors, never absent', async (context) => {
    const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ(6)' })
    const store = await PostgresMetastore.connect(database.url())
    context.after(async () => {
      await store.close()
      await database.drop()
    })
    for (const time of ['2026-11-22 02:50:00.5+00', 'infinity', '-infinity', '12026-11-22 02:50:00+00']) {
      const id = `_SK_${time}`
      await database.query(
        `INSERT INTO encryption_key VALUES ('${id}', '${time}', '{"Created":${base},"Key":"AQID"}')`,
      )
      await assert.rejects(store.loadLatest(id), { code: 'ERR_METASTORE_ROW_MALFORMED' })
      await assert.rejects(store.loadLatestMany(['_SK_other', id]), { code: 'ERR_METASTORE_ROW_MALFORMED' })
    }
  })

  test('of many ids come in one answer', async (context) => {
    const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' })
    const store = await PostgresMetastore.connect(database.url())
    context.after(async () => {
      await store.close()
      await database.drop()
    })
    const ids = Array.from({ length: 500 }, (_, index) => `_IK_"${index}',{}\\_é_api_catalog`)
    await database.query(
      `INSERT INTO encryption_key SELECT '_IK_"' || i || ''',{}\\_é_api_catalog', to_timestamp(${base} + 60 * g),
        json_build_object('Created', ${base} + 60 * g, 'Key', 'AQID') FROM generate_series(0, 399) i, generate_series(0, 2) g`,
    )
    const rows = await store.loadLatestMany([...ids, ...ids, '', '_IK_\ud800', '_IK_\0'])
    assert.deepEqual([...rows.keys()].toSorted(), ids.slice(0, 400).toSorted())
    for (const [id, row] of rows) {
      assert.deepEqual(row, { created: base + 120, encryptedKey: Uint8Array.of(1, 2, 3) })
      assert.deepEqual(await store.loadLatest(id), row)
    }
    assert.equal((await store.loadLatestMany([])).size, 0)
    assert.equal((await store.loadLatestMany(['_IK_nothing'])).size, 0)
    await database.query(
      `INSERT INTO encryption_key VALUES ('_IK_bad', to_timestamp(${base}), '{"Created":1}')`,
    )
    await assert.rejects(store.loadLatestMany([...ids, '_IK_bad']), {
      code: 'ERR_METASTORE_ROW_MALFORMED',
      message: /_IK_bad/,
    })
  })
})

async function makeDatabase(options: PostgresDatabaseOptions | 'createTable'): Promise<PostgresDatabase> {
  if (options !== 'createTable') return createPostgresDatabase(postgres, options)
  const database = await createPostgresDatabase(postgres, { keyRecord: 'none' })
  await database.query(createTable('postgres'))
  await database.query(`GRANT SELECT, INSERT ON encryption_key TO ${limited.user}`)
  return database
}

function userPool(database: PostgresDatabase, more: object = {}): PgPool {
  const { host, port } = postgres
  return new Pool({ host, port, ...limited, database: database.name, max: 5, ...more })
}

async function insertRaw(pool: PgPool, keyId: string, created: number, text: string): Promise<boolean> {
  try {
    await pool.query('INSERT INTO encryption_key VALUES ($1, $2, $3)', [
      keyId,
      `${new Date(created * 1000).toISOString().slice(0, 19)}+00`,
      text,
    ])
    return true
  } catch (error) {
    // What the column's type refuses cannot be there.
    assert.match(String((error as { code?: unknown }).code), /^22/)
    assert.ok(!(error instanceof AsherahError))
    return false
  }
}
