import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MariaDbServer } from '../../../../tests/support/servers/mariadb.ts'
import {
  createMariaDbDatabase,
  type MariaDbDatabase,
} from '../../../../tests/support/servers/mariadb-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { mysqlDialect, mysqlServer } from './mysql-dialect.ts'
import { createDatabase } from './mysql-store.ts'
import { sqlConnections } from './sql-connections.ts'
import { base, refusal, until } from './sql-dialect.ts'

const { certificates } = testServers()

let mariaDb: MariaDbServer

const world = sqlConnections(mysqlDialect, {
  async start() {
    // It logs every statement, is not strict, and commits nothing by itself.
    mariaDb = await MariaDbServer.start({
      certificates,
      settings: ['--general-log=1', '--log-output=TABLE', '--sql-mode=', '--autocommit=0'],
    })
    return mysqlServer(mariaDb)
  },
  forms({ server, database }) {
    const { limited, port } = server.address
    const { dsn } = database as MariaDbDatabase
    return [
      database.url(),
      database.url({ parameters: { charset: 'utf8mb4', parseTime: 'true' } }),
      dsn(),
      `mysql://${dsn({ parameters: { parseTime: 'true', loc: 'Local', timeout: '5s' } })}`,
      dsn({ socket: true }),
      dsn({ socket: true, parameters: { tls: 'true' } }),
      `${limited.user}:${limited.password}@tcp(localhost:${port})/${database.name}`,
    ]
  },
  createTable: 'mariadb',
  tables: [
    ['id VARCHAR(255), created DATETIME, key_record TEXT', /PRIMARY KEY \(id, created\)/],
    [
      'id VARCHAR(255), created DATETIME, key_record TEXT, INDEX (id, created)',
      /PRIMARY KEY \(id, created\)/,
    ],
    [
      'session INT, id VARCHAR(255), created DATETIME, key_record TEXT, UNIQUE (id, created, session)',
      /PRIMARY KEY \(id, created\)/,
    ],
    [
      'id VARCHAR(255), created DATETIME, key_record TEXT, PRIMARY KEY (id(20), created)',
      /PRIMARY KEY \(id, created\)/,
    ],
    ['id VARCHAR(255), made DATETIME, key_record TEXT, created DATE, UNIQUE (created, id)', undefined],
    ['id VARCHAR(255), created DATETIME, `key` TEXT, PRIMARY KEY (id, created)', /has not the columns/],
    [
      'id VARCHAR(20), created DATETIME, key_record VARCHAR(20), PRIMARY KEY (id, created)',
      /longer than its column/,
    ],
  ],
  wrongPassword: /does not let the account in/,
  noDatabase: /may not use the database/,
  folding: (
    [
      ['utf8mb4_general_ci', ['_IK_A_x', '_ik_a_x', '_IK_\u{e1}_x', '_IK_a_x ']],
      ['utf8mb4_bin', ['_IK_a_x ', '_IK_a_x   ']],
      ['latin1_swedish_ci', ['_IK_A_x', '_IK_a_x ']],
    ] as const
  ).map(
    ([collation, alike]) => [() => createMariaDbDatabase(mariaDb.address, { collation }), alike] as const,
  ),
  latin1: (['latin1_swedish_ci', 'latin1_bin'] as const).map(
    (collation) => () => createMariaDbDatabase(mariaDb.address, { collation }),
  ),
})

/** The statements of the application's sessions since the log was emptied, with the session's id before each. */
async function logged(): Promise<readonly (readonly [session: string, statement: string])[]> {
  const rows = await world.database.query(
    `SELECT thread_id, REPLACE(LEFT(argument, 80), '\\n', ' ') FROM mysql.general_log
     WHERE command_type IN ('Query', 'Prepare', 'Execute') AND user_host LIKE '${mariaDb.address.limited.user}%'
     ORDER BY event_time`,
  )
  return rows
    .split('\n')
    .filter(Boolean)
    .map((row) => row.split('\t') as [string, string])
}

async function emptyLog(): Promise<void> {
  await world.database.query('TRUNCATE mysql.general_log')
}

describe('MySQL, in ways of its own', () => {
  test('tells each connection the consistency of Aurora, and a server that is none refuses with a clear error', async () => {
    const { server, database } = world
    const pool = server.userPool(database, 5)
    const stores = [
      await MysqlMetastore.connect(database.url(), { replicaReadConsistency: 'session' }),
      pool.store({ replicaReadConsistency: 'session' }),
    ]
    for (const store of stores) {
      await emptyLog()
      const calls = Array.from({ length: 5 }, (_, index) => store.load(`_SK_${index}`, base))
      for (const outcome of await Promise.allSettled(calls)) {
        assert.equal(outcome.status, 'rejected')
        refusal(server.address, 'ERR_METASTORE', /no Aurora MySQL.*replicaReadConsistency/)(outcome.reason)
      }
      const told = (await logged()).filter(([, statement]) => statement.startsWith('SET aurora'))
      assert.equal(new Set(told.map(([session]) => session)).size, 5)
      assert.deepEqual(
        new Set(told.map(([, statement]) => statement)),
        new Set(["SET aurora_replica_read_consistency = 'session'"]),
      )
      await store.close()
    }
    await pool.end()
    await until(async () => (await server.sessions(database)) === 0)
  })

  test('asks one statement for each load, two for a lost race, and none for what cannot be there', async (context) => {
    const store = await MysqlMetastore.connect(world.database.url(), { pool: { maxOpen: 1 } })
    context.after(() => store.close())
    const count = async (call: () => Promise<unknown>): Promise<readonly string[]> => {
      await emptyLog()
      await call()
      return (await logged()).map(([, statement]) => statement.trim().slice(0, 6))
    }
    const record = sampleRecord(base, 1)
    const later = sampleRecord(base + 60, 1)
    // The first call tells the connection what it needs to know, and the first store asks for the table's keys.
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SET SE', 'SELECT'])
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base)), ['SELECT'])
    assert.deepEqual(await count(() => store.loadLatestMany(['_SK_counted', '_SK_b', '_SK_c'])), ['(SELEC'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['SELECT', 'INSERT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base + 60, later)), ['INSERT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT', 'SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base + 0.5)), [])
    assert.deepEqual(await count(() => store.loadLatestMany(['', '\ud800'])), [])
  })

  test('refuses a connection string that names no database', async () => {
    const { server, database } = world
    const store = await MysqlMetastore.connect(database.url().replace(`/${database.name}`, ''))
    await assert.rejects(
      store.load('_SK_a', base),
      refusal(server.address, 'ERR_METASTORE', /names no database/),
    )
    await store.close()
  })

  test('refuses times that a TIMESTAMP cannot hold, and stores nothing', async (context) => {
    const timestamps = await createDatabase(mariaDb.address, 'MODIFY created TIMESTAMP NOT NULL')
    const store = await MysqlMetastore.connect(timestamps.url())
    context.after(async () => {
      await store.close()
      await timestamps.drop()
    })
    for (const created of [0, 2 ** 31, 253_402_300_799]) {
      await assert.rejects(
        store.store('_SK_a', created, sampleRecord(created, 1)),
        refusal(world.server.address, 'ERR_METASTORE', /2038-01-19 03:14:07/),
      )
      assert.equal(await store.load('_SK_a', created), undefined)
    }
    assert.equal(await timestamps.query('SELECT COUNT(*) FROM encryption_key'), '0')
  })
})
