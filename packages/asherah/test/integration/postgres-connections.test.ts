import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PostgresAddress } from '../../../../tests/support/servers/postgres.ts'
import { postgresKeyValues } from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { postgresDialect } from './postgres-dialect.ts'
import { type PgClient, Pool } from './postgres-store.ts'
import { sqlConnections } from './sql-connections.ts'
import { base, refusal, storeSlowly, until } from './sql-dialect.ts'

const { certificates } = testServers()

const world = sqlConnections(postgresDialect, {
  start: () => postgresDialect.start({ certificates }),
  forms({ server, database }) {
    const { limited, port, socketFolder } = server.address as PostgresAddress
    const account = `${encodeURIComponent(limited.user)}:${encodeURIComponent(limited.password)}`
    const keyValues = (options?: object) =>
      postgresKeyValues(server.address as PostgresAddress, database.name, options)
    return [
      database.url(),
      database.url({
        parameters: { application_name: 'mine', connect_timeout: '3', options: '-c TimeZone=Asia/Kolkata' },
      }),
      keyValues(),
      keyValues({ host: socketFolder, parameters: { sslmode: 'verify-full' } }),
      `postgresql://${account}@${encodeURIComponent(socketFolder)}:${port}/${database.name}`,
    ]
  },
  createTable: 'postgres',
  tables: [
    ['id text, created timestamptz, key_record text', /PRIMARY KEY \(id, created\)/],
    ['id text, created timestamptz, key_record text, PRIMARY KEY (id)', /PRIMARY KEY \(id, created\)/],
    ['id text, made timestamptz, key_record text', /has not the columns/],
    ['id text, created bigint, key_record text, PRIMARY KEY (id, created)', /reason that follows/],
    [
      'id text, created timestamptz, key_record bytea CHECK (false), PRIMARY KEY (id, created)',
      /reason that follows/,
    ],
    ['id text, created timestamp, key_record json, UNIQUE (created, id)', undefined],
  ],
  wrongPassword: /refuses the password/,
  noDatabase: /no such database/,
  folding: [
    [
      async ({ server }) => {
        const database = await server.createDatabase()
        await database.query(`DROP TABLE encryption_key;
          CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
          CREATE TABLE encryption_key (id text COLLATE folded, created timestamptz, key_record text, PRIMARY KEY (id, created));
          GRANT SELECT, INSERT ON encryption_key TO ${server.address.limited.user}`)
        return database
      },
      ['_IK_A_x', '_ik_a_x', '_IK_\u{e1}_x'],
    ],
  ],
  latin1: [
    async ({ server, database }) => {
      const name = 'latin1'
      await database.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
      const { socketFolder: host, port, superuser } = server.address as PostgresAddress
      const pool = new Pool({ host, port, ...superuser, database: name, max: 1 })
      await pool.query(createTable('postgres'))
      await pool.query(`GRANT SELECT, INSERT ON encryption_key TO ${server.address.limited.user}`)
      return {
        name,
        url: () => database.url().replace(database.name, name),
        query: async (sql) => String(Object.values((await pool.query(sql)).rows[0] ?? {})[0]),
        async drop() {
          await pool.end()
          await database.query(`DROP DATABASE ${name} WITH (FORCE)`)
        },
      }
    },
  ],
})

describe('Postgres, in ways of its own', () => {
  const sessions = (): Promise<number> => world.server.sessions(world.database)

  test('tells each connection the consistency of Aurora, in our pool and in a given one', async (context) => {
    const { server, database } = world
    await database.query(
      "ALTER TABLE encryption_key ADD mode text DEFAULT current_setting('apg_write_forward.consistency_mode', true)",
    )
    const pool = server.userPool(database, 10)
    const own = await PostgresMetastore.connect(database.url(), { replicaReadConsistency: 'session' })
    const given = pool.store({ replicaReadConsistency: 'global' })
    context.after(async () => {
      await own.close()
      await pool.end()
    })
    for (const [name, store, mode] of [
      ['own', own, 'session'],
      ['given', given, 'global'],
    ] as const) {
      await storeSlowly(store, `${name}-mode`, 10)
      await storeSlowly(store, `${name}-mode-again`, 10)
      const found = await database.query(
        `SELECT mode, count(*), count(DISTINCT session_id) > 2 FROM encryption_key WHERE id LIKE '_IK_slow-${name}-mode%' GROUP BY 1`,
      )
      assert.equal(found, `${mode}|20|t`)
    }
  })

  test('replaces connections to a primary that has become a replica, as after a fail-over', async (context) => {
    const { server, database } = world
    const readOnly = (value: 'on' | 'off'): Promise<string> =>
      database.query(
        `ALTER ROLE ${server.address.limited.user} IN DATABASE ${database.name} SET default_transaction_read_only = ${value}`,
      )
    await readOnly('on')
    const store = await PostgresMetastore.connect(database.url())
    context.after(() => store.close())
    await store.load('_SK_fail-over', base)
    await readOnly('off')
    assert.equal(await store.store('_SK_fail-over', base, sampleRecord(base, 1)), true)
  })

  test('ends connections to a server that takes no writes with a clear error, and leaves none open', async () => {
    const { server, database } = world
    await until(async () => (await sessions()) === 0)
    const store = await PostgresMetastore.connect(
      database.url({ parameters: { options: '-c default_transaction_read_only=on' } }),
      { replicaReadConsistency: 'eventual' },
    )
    await assert.rejects(
      store.store('_SK_read-only', base, sampleRecord(base, 1)),
      refusal(server.address, 'ERR_METASTORE', /takes no writes/),
    )
    await store.close()
    await until(async () => (await sessions()) === 0)
  })

  test('refuses an id with a NUL character', async (context) => {
    const store = await PostgresMetastore.connect(world.database.url())
    context.after(() => store.close())
    await assert.rejects(
      store.store('_SK_\0', base, sampleRecord(base, 1)),
      refusal(world.server.address, 'ERR_METASTORE', /NUL/),
    )
  })

  test('asks one statement for each load, two for a lost race, and none for what cannot be there', async (context) => {
    const statements: string[] = []
    const { server, database } = world
    const { port, limited } = server.address
    const pool = new Pool({ host: '127.0.0.1', port, ...limited, database: database.name, max: 1 })
    pool.on('connect', (client: PgClient) => {
      const { query } = client
      Object.assign(client, {
        query: (config: { readonly text: string }, ...rest: []) => {
          statements.push(config.text.slice(0, 6))
          return query.call(client, config, ...rest)
        },
      })
    })
    const store = new PostgresMetastore(pool)
    context.after(() => pool.end())
    const count = async (call: () => Promise<unknown>): Promise<readonly string[]> => {
      statements.length = 0
      await call()
      return [...statements]
    }
    const record = sampleRecord(base, 1)
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base)), ['SELECT'])
    assert.deepEqual(await count(() => store.loadLatestMany(['_SK_counted', '_SK_b', '_SK_c'])), ['SELECT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT', 'SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base + 0.5)), [])
    assert.deepEqual(await count(() => store.loadLatest('_SK_\0')), [])
    assert.deepEqual(await count(() => store.loadLatestMany(['', '\ud800'])), [])
  })
})
