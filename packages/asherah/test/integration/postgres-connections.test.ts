import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import {
  createPostgresDatabase,
  type PostgresDatabase,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { AsherahError } from '../../src/errors.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { type PgClient, Pool } from './postgres-store.ts'

const { postgres } = testServers()
const { limited } = postgres
const base = 1_795_315_800

let database: PostgresDatabase
before(async () => {
  database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' })
  // Each row tells which connection stored it, and what that connection had been told.
  await database.query(`ALTER TABLE encryption_key
    ADD pid int DEFAULT pg_backend_pid(),
    ADD mode text DEFAULT current_setting('apg_write_forward.consistency_mode', true);
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.id LIKE '_IK_slow%' THEN PERFORM pg_sleep(0.1); END IF; RETURN NEW; END $$;
    CREATE TRIGGER wait BEFORE INSERT ON encryption_key FOR EACH ROW EXECUTE FUNCTION wait()`)
})
after(() => database.drop())

async function sessions(): Promise<number> {
  return Number(
    await database.query(
      `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = '${limited.user}'`,
    ),
  )
}

function storeSlowly(store: PostgresMetastore, name: string, count: number): Promise<boolean[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      store.store(`_IK_slow-${name}-${index}`, base, sampleRecord(base, index)),
    ),
  )
}

/** An error of ours that shows no secret, however deep one looks. */
function refusal(code: AsherahError['code'], message: RegExp) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError, inspect(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, message)
    const shown = inspect(error, { depth: 10, showHidden: true, getters: true })
    assert.ok(!shown.includes(limited.password) && !shown.includes('p@s:s'), 'the password is shown')
    return true
  }
}

describe('Postgres connections', () => {
  test('are made from a URL, from key=value, and through a Unix socket', async (context) => {
    const { socketFolder, port } = postgres
    const forms = [
      database.url(),
      database.url({
        parameters: { application_name: 'mine', connect_timeout: '3', options: '-c TimeZone=Asia/Kolkata' },
      }),
      database.keyValues(),
      database.keyValues({ host: socketFolder, parameters: { sslmode: 'verify-full' } }),
      `postgresql://${encodeURIComponent(limited.user)}:${encodeURIComponent(limited.password)}@${encodeURIComponent(socketFolder)}:${port}/${database.name}`,
    ]
    for (const [index, form] of forms.entries()) {
      const store = await PostgresMetastore.connect(form)
      context.after(() => store.close())
      assert.equal(await store.store(`_SK_form-${index}`, base, sampleRecord(base, index)), true)
      assert.deepEqual(await store.loadLatest(`_SK_form-${index}`), sampleRecord(base, index))
    }
  })

  test('are as many as calls where there is no limit, and two are kept', async (context) => {
    const store = await PostgresMetastore.connect(database.url(), { pool: { maxOpen: 0 } })
    context.after(() => store.close())
    const began = performance.now()
    assert.ok((await storeSlowly(store, 'unlimited', 40)).every(Boolean))
    assert.ok(performance.now() - began < 3000, 'they ran side by side')
    const pids = await database.query(
      "SELECT count(DISTINCT pid) FROM encryption_key WHERE id LIKE '_IK_slow-unlimited%'",
    )
    assert.equal(pids, '40')
    await until(async () => (await sessions()) === 2)
  })

  test('are never more than the limit', async (context) => {
    const store = await PostgresMetastore.connect(database.url(), { pool: { maxOpen: 3, maxIdle: 10 } })
    context.after(() => store.close())
    assert.ok((await storeSlowly(store, 'limited', 12)).every(Boolean))
    const pids = await database.query(
      "SELECT count(DISTINCT pid) FROM encryption_key WHERE id LIKE '_IK_slow-limited%'",
    )
    assert.equal(pids, '3')
  })

  test('end after their idle time and their lifetime', async () => {
    for (const limits of [{ maxIdleTimeSeconds: 1 }, { maxLifetimeSeconds: 1 }]) {
      const store = await PostgresMetastore.connect(database.url(), { pool: limits })
      await store.load('_SK_a', base)
      assert.equal(await sessions(), 1)
      await until(async () => (await sessions()) === 0)
      assert.equal(await store.load('_SK_a', base), undefined)
      await store.close()
    }
  })

  test('end with close, those in use after their calls', async () => {
    const store = await PostgresMetastore.connect(database.url())
    const calls = storeSlowly(store, 'closing', 10)
    await sleep(50)
    await store.close()
    assert.ok((await calls).every(Boolean))
    await until(async () => (await sessions()) === 0)
    await assert.rejects(store.load('_SK_a', base), { code: 'ERR_CLOSED' })
  })

  test('do not keep a process alive that is done', () => {
    const program = `
      const { PostgresMetastore } = await import(process.argv[1])
      const store = await PostgresMetastore.connect(process.argv[2])
      console.log(await store.load('_SK_a', 60))`
    const url = new URL('../../src/metastore/postgres/postgres.ts', import.meta.url).href
    const output = execFileSync(
      process.execPath,
      ['--input-type=module', '-e', program, url, database.url()],
      {
        encoding: 'utf8',
        timeout: 20_000,
      },
    )
    assert.equal(output, 'undefined\n')
  })

  test('are each told the consistency of Aurora, in our pool and in a given one', async (context) => {
    const { host, port } = postgres
    const pool = new Pool({ host, port, ...limited, database: database.name, max: 10 })
    const stores = {
      own: await PostgresMetastore.connect(database.url(), { replicaReadConsistency: 'session' }),
      given: new PostgresMetastore(pool, { replicaReadConsistency: 'global' }),
    }
    context.after(async () => {
      await stores.own.close()
      await pool.end()
    })
    for (const [name, store, mode] of [
      ['own', stores.own, 'session'],
      ['given', stores.given, 'global'],
    ] as const) {
      await storeSlowly(store, `${name}-mode`, 10)
      await storeSlowly(store, `${name}-mode-again`, 10)
      const found = await database.query(
        `SELECT mode, count(*), count(DISTINCT pid) >= 10 FROM encryption_key WHERE id LIKE '_IK_slow-${name}-mode%' GROUP BY 1`,
      )
      assert.equal(found, `${mode}|20|t`)
    }
  })

  test('to a primary that has become a replica are replaced, as after a fail-over', async (context) => {
    const readOnly = async (value: 'on' | 'off'): Promise<string> =>
      database.query(
        `ALTER ROLE ${limited.user} IN DATABASE ${database.name} SET default_transaction_read_only = ${value}`,
      )
    await readOnly('on')
    const store = await PostgresMetastore.connect(database.url())
    context.after(() => store.close())
    await store.load('_SK_fail-over', base)
    await readOnly('off')
    assert.equal(await store.store('_SK_fail-over', base, sampleRecord(base, 1)), true)
  })

  test('to a server that takes no writes are ended with a clear error, and none is left open', async () => {
    const store = await PostgresMetastore.connect(
      database.url({ parameters: { options: '-c default_transaction_read_only=on' } }),
      { replicaReadConsistency: 'eventual' },
    )
    await assert.rejects(
      store.store('_SK_read-only', base, sampleRecord(base, 1)),
      refusal('ERR_METASTORE', /takes no writes/),
    )
    await store.close()
    await assert.rejects(
      PostgresMetastore.connect(database.url(), { replicaReadConsistency: "x'; DROP TABLE y" as 'session' }),
      refusal('ERR_CONFIG_INVALID', /eventual, global, session/),
    )
    await until(async () => (await sessions()) === 0)
  })
})

describe('Postgres statements', () => {
  test('are one for each load, two for a lost race, and none for what cannot be there', async (context) => {
    const statements: string[] = []
    const { host, port } = postgres
    const pool = new Pool({ host, port, ...limited, database: database.name, max: 1 })
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
    assert.deepEqual(await count(() => store.loadLatest('_SK_counted')), ['SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base)), ['SELECT'])
    assert.deepEqual(await count(() => store.loadLatestMany(['_SK_counted', '_SK_b', '_SK_c'])), ['SELECT'])
    const record = sampleRecord(base, 1)
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT'])
    assert.deepEqual(await count(() => store.store('_SK_counted', base, record)), ['INSERT', 'SELECT'])
    assert.deepEqual(await count(() => store.load('_SK_counted', base + 0.5)), [])
    assert.deepEqual(await count(() => store.loadLatest('_SK_\0')), [])
    assert.deepEqual(await count(() => store.loadLatestMany(['', '\ud800'])), [])
  })
})

describe('Postgres refusals', () => {
  test('name what to do, and show no password', async (context) => {
    const other = await createPostgresDatabase(postgres, { keyRecord: 'none' })
    context.after(other.drop)
    const call = async (url: string): Promise<boolean> => {
      const store = await PostgresMetastore.connect(url)
      try {
        return await store.store('_SK_a', base, sampleRecord(base, 1))
      } finally {
        await store.close()
      }
    }
    const missing = refusal('ERR_METASTORE', /there is no table encryption_key/)
    await assert.rejects(call(other.url()), (error: unknown) => {
      assert.ok(String((error as Error).message).includes(createTable('postgres')))
      return missing(error)
    })
    for (const [table, expected] of [
      ['id text, created timestamptz, key_record text, PRIMARY KEY (id, created)', /the account may not/],
      ['id text, created timestamptz, key_record text', /PRIMARY KEY \(id, created\)/],
      ['id text, created timestamptz, key_record text, PRIMARY KEY (id)', /PRIMARY KEY \(id, created\)/],
      ['id text, made timestamptz, key_record text', /has not the columns/],
      ['id text, created bigint, key_record text, PRIMARY KEY (id, created)', /reason that follows/],
      [
        'id text, created timestamptz, key_record bytea CHECK (false), PRIMARY KEY (id, created)',
        /reason that follows/,
      ],
    ] as const) {
      await other.query(`DROP TABLE IF EXISTS encryption_key; CREATE TABLE encryption_key (${table})`)
      if (!expected.source.includes('may not')) {
        await other.query(`GRANT SELECT, INSERT ON encryption_key TO ${limited.user}`)
      }
      await assert.rejects(call(other.url()), refusal('ERR_METASTORE', expected), table)
    }
    const wrong = { user: limited.user, password: `${limited.password}x` }
    await assert.rejects(
      call(other.url({ account: wrong })),
      refusal('ERR_METASTORE', /refuses the password/),
    )
    await assert.rejects(
      call(other.url().replace(other.name, 'nowhere')),
      refusal('ERR_METASTORE', /no such database/),
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

  test('are of ids that do not fit, and of ids that a table does not tell apart', async (context) => {
    const store = await PostgresMetastore.connect(database.url())
    context.after(() => store.close())
    const longest = '\u{1f511}'.repeat(255)
    assert.equal(await store.store(longest, base, sampleRecord(base, 1)), true)
    assert.deepEqual(await store.loadLatest(longest), sampleRecord(base, 1))
    assert.equal(await store.loadLatest(`${longest}x`), undefined)
    await assert.rejects(
      store.store(`${longest}x`, base, sampleRecord(base, 1)),
      refusal('ERR_METASTORE', /longer than its column/),
    )
    await assert.rejects(store.store('_SK_\0', base, sampleRecord(base, 1)), refusal('ERR_METASTORE', /NUL/))

    const folding = await createPostgresDatabase(postgres, { keyRecord: 'none' })
    await folding.query(`CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
      CREATE TABLE encryption_key (id text COLLATE folded, created timestamptz, key_record text, PRIMARY KEY (id, created));
      GRANT SELECT, INSERT ON encryption_key TO ${limited.user}`)
    const confused = await PostgresMetastore.connect(folding.url())
    context.after(async () => {
      await confused.close()
      await folding.drop()
    })
    assert.equal(await confused.store('_IK_a_x', base, sampleRecord(base, 1)), true)
    assert.equal(await confused.store('_IK_a_x', base, sampleRecord(base, 2)), false)
    for (const id of ['_IK_A_x', '_ik_a_x', '_IK_\u{e1}_x']) {
      const calls = [
        confused.load(id, base),
        confused.loadLatest(id),
        confused.loadLatestMany(['_IK_a_x', id]),
        confused.store(id, base, sampleRecord(base, 3)),
      ]
      for (const outcome of await Promise.allSettled(calls)) {
        assert.equal(outcome.status, 'rejected', id)
        refusal('ERR_METASTORE_ROW_MALFORMED', /does not tell from/)(outcome.reason)
      }
    }
    assert.deepEqual(await confused.load('_IK_a_x', base), sampleRecord(base, 1))
  })

  test('are of ids that the encoding of the database has no character for', async (context) => {
    const name = `latin1_${process.pid}`
    await database.query(`CREATE DATABASE ${name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
    const { host, port } = postgres
    const superuser = new Pool({ host, port, ...postgres.superuser, database: name, max: 1 })
    await superuser.query(createTable('postgres'))
    await superuser.query(`GRANT SELECT, INSERT ON encryption_key TO ${limited.user}`)
    await superuser.end()
    const store = await PostgresMetastore.connect(database.url().replace(database.name, name))
    context.after(async () => {
      await store.close()
      await database.query(`DROP DATABASE ${name} WITH (FORCE)`)
    })
    assert.equal(await store.store('_IK_\u{e9}', base, sampleRecord(base, 1)), true)
    await assert.rejects(
      store.store('_IK_日本', base, sampleRecord(base, 1)),
      refusal('ERR_METASTORE', /encoding has no such character/),
    )
    assert.equal(await store.load('_IK_日本', base), undefined)
    assert.equal(await store.loadLatest('_IK_日本'), undefined)
    // An id that cannot be there does not hide those that are.
    const rows = await store.loadLatestMany(['_IK_日本', '_IK_\u{e9}'])
    assert.deepEqual([...rows.keys()], ['_IK_\u{e9}'])
  })
})

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000
  while (!(await condition())) {
    assert.ok(performance.now() < end, 'it came to pass in 10 s')
    await sleep(50)
  }
}
