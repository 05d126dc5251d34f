import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { MariaDbServer } from '../../../../tests/support/servers/mariadb.ts'
import {
  createMariaDbDatabase,
  type MariaDbDatabase,
} from '../../../../tests/support/servers/mariadb-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { AsherahError } from '../../src/errors.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { createDatabase, createPool } from './mysql-store.ts'

const { certificates } = testServers()
const base = 1_795_315_800

// A server of its own: it logs every statement, is not strict, and commits nothing by itself.
let server: MariaDbServer
let database: MariaDbDatabase
before(async () => {
  server = await MariaDbServer.start({
    certificates,
    settings: ['--general-log=1', '--log-output=TABLE', '--sql-mode=', '--autocommit=0'],
  })
  database = await createDatabase(
    server.address,
    'ADD session_id BIGINT, ADD CONSTRAINT slow CHECK (id NOT LIKE "_IK_never%")',
  )
  await database.query(`CREATE TRIGGER tell BEFORE INSERT ON encryption_key FOR EACH ROW
    SET NEW.session_id = CONNECTION_ID() + IF(NEW.id LIKE '_IK_slow%', 0 * SLEEP(0.1), 0)`)
})
after(() => server.remove())

async function sessions(): Promise<number> {
  const { limited } = server.address
  return Number(
    await database.query(
      `SELECT COUNT(*) FROM information_schema.processlist WHERE user = '${limited.user}'`,
    ),
  )
}

/** The statements of the application's sessions since the log was emptied, with the session's id before each. */
async function logged(): Promise<readonly (readonly [session: string, statement: string])[]> {
  const rows = await database.query(
    `SELECT thread_id, REPLACE(LEFT(argument, 80), '\\n', ' ') FROM mysql.general_log
     WHERE command_type IN ('Query', 'Prepare', 'Execute') AND user_host LIKE '${server.address.limited.user}%'
     ORDER BY event_time`,
  )
  return rows
    .split('\n')
    .filter(Boolean)
    .map((row) => row.split('\t') as [string, string])
}

async function emptyLog(): Promise<void> {
  await database.query('TRUNCATE mysql.general_log')
}

function storeSlowly(store: MysqlMetastore, name: string, count: number): Promise<boolean[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      store.store(`_IK_slow-${name}-${index}`, base, sampleRecord(base, index)),
    ),
  )
}

function sessionsOf(name: string): Promise<string> {
  return database.query(
    `SELECT COUNT(DISTINCT session_id) FROM encryption_key WHERE id LIKE '_IK_slow-${name}%'`,
  )
}

/** An error of ours that shows no secret, however deep one looks. */
function refusal(code: AsherahError['code'], message: RegExp) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError, inspect(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    const shown = inspect(error, { depth: 10, showHidden: true, getters: true })
    assert.ok(
      !shown.includes(server.address.limited.password) && !shown.includes('p@s:s'),
      'the password is shown',
    )
    return true
  }
}

describe('MySQL connections', () => {
  test('are made from a URL, from a Go DSN, and through a Unix socket', async (context) => {
    const { limited } = server.address
    const forms = [
      database.url(),
      database.url({ parameters: { charset: 'utf8mb4', parseTime: 'true' } }),
      database.dsn(),
      `mysql://${database.dsn({ parameters: { parseTime: 'true', loc: 'Local', timeout: '5s' } })}`,
      database.dsn({ socket: true }),
      database.dsn({ socket: true, parameters: { tls: 'true' } }),
      `${limited.user}:${limited.password}@tcp(localhost:${server.address.port})/${database.name}`,
    ]
    for (const [index, form] of forms.entries()) {
      const store = await MysqlMetastore.connect(form)
      context.after(() => store.close())
      assert.equal(await store.store(`_SK_form-${index}`, base, sampleRecord(base, index)), true)
      assert.deepEqual(await store.loadLatest(`_SK_form-${index}`), sampleRecord(base, index))
    }
  })

  test('are as many as calls where there is no limit, and two are kept', async (context) => {
    const store = await MysqlMetastore.connect(database.url(), { pool: { maxOpen: 0 } })
    context.after(() => store.close())
    assert.ok((await storeSlowly(store, 'unlimited', 40)).every(Boolean))
    assert.equal(await sessionsOf('unlimited'), '40')
    await until(async () => (await sessions()) === 2)
  })

  test('are never more than the limit', async (context) => {
    const store = await MysqlMetastore.connect(database.url(), { pool: { maxOpen: 3, maxIdle: 10 } })
    context.after(() => store.close())
    assert.ok((await storeSlowly(store, 'limited', 12)).every(Boolean))
    assert.equal(await sessionsOf('limited'), '3')
  })

  test('end after their idle time and their lifetime', async () => {
    for (const limits of [{ maxIdleTimeSeconds: 1 }, { maxLifetimeSeconds: 1 }]) {
      const store = await MysqlMetastore.connect(database.url(), { pool: limits })
      await until(async () => (await sessions()) === 0)
      await store.load('_SK_a', base)
      assert.equal(await sessions(), 1)
      await until(async () => (await sessions()) === 0)
      assert.equal(await store.load('_SK_a', base), undefined)
      await store.close()
    }
  })

  test('end with close, those in use after their calls', async () => {
    const store = await MysqlMetastore.connect(database.url())
    const calls = storeSlowly(store, 'closing', 10)
    await sleep(50)
    await store.close()
    assert.ok((await calls).every(Boolean))
    await until(async () => (await sessions()) === 0)
    await assert.rejects(store.load('_SK_a', base), { code: 'ERR_CLOSED' })
  })

  test('do not keep a process alive that is done', () => {
    const program = `
      const { MysqlMetastore } = await import(process.argv[1])
      const store = await MysqlMetastore.connect(process.argv[2])
      console.log(await store.load('_SK_a', 60))`
    const url = new URL('../../src/metastore/mysql/mysql.ts', import.meta.url).href
    const output = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', program, url, database.dsn()],
      {
        encoding: 'utf8',
        timeout: 20_000,
      },
    )
    assert.equal(output, 'undefined\n')
  })

  test('are each told the consistency of Aurora, and a server that is none refuses with a clear error', async () => {
    const { host, port, limited } = server.address
    const pool = createPool({ host, port, ...limited, database: database.name, connectionLimit: 5 })
    const stores = [
      await MysqlMetastore.connect(database.url(), { replicaReadConsistency: 'session' }),
      new MysqlMetastore(pool, { replicaReadConsistency: 'session' }),
    ]
    for (const store of stores) {
      await emptyLog()
      const calls = Array.from({ length: 5 }, (_, index) => store.load(`_SK_${index}`, base))
      for (const outcome of await Promise.allSettled(calls)) {
        assert.equal(outcome.status, 'rejected')
        refusal('ERR_METASTORE', /no Aurora MySQL.*replicaReadConsistency/)(outcome.reason)
      }
      const told = (await logged()).filter(([, statement]) => statement.startsWith('SET aurora'))
      assert.equal(new Set(told.map(([session]) => session)).size, 5)
      assert.deepEqual(
        new Set(told.map(([, statement]) => statement)),
        new Set(["SET aurora_replica_read_consistency = 'session'"]),
      )
      await store.close()
    }
    await pool.promise().end()
    await until(async () => (await sessions()) === 0)
    await assert.rejects(
      MysqlMetastore.connect(database.url(), { replicaReadConsistency: "x'; DROP TABLE y" as 'session' }),
      refusal('ERR_CONFIG_INVALID', /eventual, global, session/),
    )
  })
})

describe('MySQL statements', () => {
  test('are one for each load, two for a lost race, and none for what cannot be there', async (context) => {
    const store = await MysqlMetastore.connect(database.url(), { pool: { maxOpen: 1 } })
    context.after(() => store.close())
    const count = async (call: () => Promise<unknown>): Promise<readonly string[]> => {
      await emptyLog()
      await call()
      return (await logged()).map(([, statement]) => statement.trim().slice(0, 6))
    }
    const record = sampleRecord(base, 1)
    // The first call tells the connection what it needs to know, and the first store asks for the table's keys.
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SET SE', 'SELECT'])
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base)), ['SELECT'])
    assert.deepEqual(await count(() => store.loadLatestMany(['_SK_counted', '_SK_b', '_SK_c'])), ['(SELEC'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['SELECT', 'INSERT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base + 60, sampleRecord(base + 60, 1))), [
      'INSERT',
    ])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT', 'SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base + 0.5)), [])
    assert.deepEqual(await count(() => store.loadLatestMany(['', '\ud800'])), [])
  })
})

describe('MySQL refusals', () => {
  test('name what to do, and show no password', async (context) => {
    const other = await createMariaDbDatabase(server.address, { keyRecord: 'none' })
    context.after(other.drop)
    const { limited } = server.address
    const call = async (url: string): Promise<boolean> => {
      const store = await MysqlMetastore.connect(url)
      try {
        return await store.store('_SK_a', base, sampleRecord(base, 1))
      } finally {
        await store.close()
      }
    }
    await other.query(
      `CREATE TABLE other (id INT); GRANT SELECT, INSERT ON ${other.name}.* TO ${limited.user}@'%'`,
    )
    const missing = refusal('ERR_METASTORE', /there is no table encryption_key/)
    await assert.rejects(call(other.url()), (error: unknown) => {
      assert.ok(String((error as Error).message).includes(createTable('mariadb')))
      return missing(error)
    })
    for (const [table, expected] of [
      ['id VARCHAR(255), created DATETIME, key_record TEXT', /PRIMARY KEY \(id, created\)/],
      [
        'id VARCHAR(255), created DATETIME, key_record TEXT, INDEX (id, created)',
        /PRIMARY KEY \(id, created\)/,
      ],
      [
        'id VARCHAR(255), created DATETIME, key_record TEXT, UNIQUE (id, created, session)',
        /PRIMARY KEY \(id, created\)/,
      ],
      [
        'id VARCHAR(255), created DATETIME, key_record TEXT, PRIMARY KEY (id(20), created)',
        /PRIMARY KEY \(id, created\)/,
      ],
      ['id VARCHAR(255), made DATETIME, key_record TEXT, created DATE, UNIQUE (created, id)', undefined],
      ['id VARCHAR(255), created DATETIME, key TEXT, PRIMARY KEY (id, created)', /has not the columns/],
      [
        'id VARCHAR(20), created DATETIME, key_record VARCHAR(20), PRIMARY KEY (id, created)',
        /longer than its column/,
      ],
    ] as const) {
      await other.query(
        `DROP TABLE IF EXISTS encryption_key; CREATE TABLE encryption_key (session INT, ${table.replace('key TEXT', '`key` TEXT')})`,
      )
      if (expected === undefined) assert.equal(await call(other.url()), true)
      else await assert.rejects(call(other.url()), refusal('ERR_METASTORE', expected), table)
    }
    await other.query(`REVOKE INSERT ON ${other.name}.* FROM ${limited.user}@'%'`)
    await other.query(
      'CREATE OR REPLACE TABLE encryption_key (id VARCHAR(255), created DATETIME, key_record TEXT, PRIMARY KEY (id, created))',
    )
    await assert.rejects(call(other.url()), refusal('ERR_METASTORE', /the account may not/))
    const wrong = { user: limited.user, password: `${limited.password}x` }
    await assert.rejects(
      call(other.url({ account: wrong })),
      refusal('ERR_METASTORE', /does not let the account in/),
    )
    await assert.rejects(
      call(other.url().replace(other.name, 'nowhere')),
      refusal('ERR_METASTORE', /may not use the database/),
    )
    await assert.rejects(
      call(other.url().replace(`/${other.name}`, '')),
      refusal('ERR_METASTORE', /names no database/),
    )
    await assert.rejects(
      call(other.url({ port: 1 })),
      refusal('ERR_METASTORE', /can be reached.*ECONNREFUSED/),
    )
    await assert.rejects(
      call(other.url({ host: 'nowhere.invalid' })),
      refusal('ERR_METASTORE', /can be reached/),
    )
  })

  test('are of ids and times that do not fit, and nothing is stored', async (context) => {
    const timestamps = await createDatabase(server.address, 'MODIFY created TIMESTAMP NOT NULL')
    const store = await MysqlMetastore.connect(timestamps.url())
    context.after(async () => {
      await store.close()
      await timestamps.drop()
    })
    const longest = '\u{1f511}'.repeat(255)
    assert.equal(await store.store(longest, base, sampleRecord(base, 1)), true)
    assert.deepEqual(await store.loadLatest(longest), sampleRecord(base, 1))
    assert.equal(await store.loadLatest(`${longest}x`), undefined)
    await assert.rejects(
      store.store(`${longest}x`, base, sampleRecord(base, 1)),
      refusal('ERR_METASTORE', /longer than its column/),
    )
    for (const created of [0, 2 ** 31, 253_402_300_799]) {
      await assert.rejects(
        store.store('_SK_a', created, sampleRecord(created, 1)),
        refusal('ERR_METASTORE', /2038-01-19 03:14:07/),
      )
      assert.equal(await store.load('_SK_a', created), undefined)
    }
    assert.equal(await timestamps.query('SELECT COUNT(*) FROM encryption_key'), '1')
  })

  test('are of ids that a table does not tell apart', async (context) => {
    for (const [collation, alike] of [
      ['utf8mb4_general_ci', ['_IK_A_x', '_ik_a_x', '_IK_\u{e1}_x', '_IK_a_x ']],
      ['utf8mb4_bin', ['_IK_a_x ', '_IK_a_x   ']],
      ['latin1_swedish_ci', ['_IK_A_x', '_IK_a_x ']],
    ] as const) {
      const folding = await createMariaDbDatabase(server.address, { collation })
      const store = await MysqlMetastore.connect(folding.url())
      context.after(async () => {
        await store.close()
        await folding.drop()
      })
      assert.equal(await store.store('_IK_a_x', base, sampleRecord(base, 1)), true)
      assert.equal(await store.store('_IK_a_x', base, sampleRecord(base, 2)), false)
      for (const id of alike) {
        const calls = [
          store.load(id, base),
          store.loadLatest(id),
          store.loadLatestMany(['_IK_a_x', id]),
          store.loadLatestMany([id]),
          store.store(id, base, sampleRecord(base, 3)),
        ]
        for (const [index, outcome] of (await Promise.allSettled(calls)).entries()) {
          assert.equal(outcome.status, 'rejected', `${collation} ${id} ${index}`)
          refusal('ERR_METASTORE_ROW_MALFORMED', /does not tell from/)(outcome.reason)
        }
      }
      assert.deepEqual(await store.load('_IK_a_x', base), sampleRecord(base, 1))
      assert.deepEqual([...(await store.loadLatestMany(['_IK_a_x', '_IK_b'])).keys()], ['_IK_a_x'])
    }
  })

  test('are of ids that latin1 has no character for, and no question mark is stored', async (context) => {
    for (const collation of ['latin1_swedish_ci', 'latin1_bin'] as const) {
      const latin1 = await createMariaDbDatabase(server.address, { collation })
      const store = await MysqlMetastore.connect(latin1.url())
      context.after(async () => {
        await store.close()
        await latin1.drop()
      })
      assert.equal(await store.store('_IK_\u{e9}', base, sampleRecord(base, 1)), true)
      assert.deepEqual(await store.loadLatest('_IK_\u{e9}'), sampleRecord(base, 1))
      for (const id of ['_IK_日本', '_IK_\u{1f511}', '_IK_e\u{301}']) {
        await assert.rejects(
          store.store(id, base, sampleRecord(base, 1)),
          refusal('ERR_METASTORE', /has not all of the id's characters/),
        )
        assert.equal(await store.load(id, base), undefined)
        assert.equal(await store.loadLatest(id), undefined)
      }
      // An id that cannot be there does not hide those that are.
      const rows = await store.loadLatestMany(['_IK_日本', '_IK_\u{e9}'])
      assert.deepEqual([...rows.keys()], ['_IK_\u{e9}'])
      assert.equal(await latin1.query('SELECT COUNT(*) FROM encryption_key'), '1')
    }
  })
})

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it came to pass in 10 s')
    await sleep(50)
  }
}
