import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTable } from '../../src/metastore/create-table.ts'
import type { SqlPoolOptions } from '../../src/metastore/sql/sql-options.ts'
import { sampleRecord } from '../metastore/contract.ts'
import {
  base,
  refusal,
  type SqlDatabase,
  type SqlDialect,
  type SqlServer,
  type SqlStore,
  sessionsThatStored,
  storeSlowly,
  until,
} from './sql-dialect.ts'

/** A server, and a database whose rows tell which connection stored them. */
export interface SqlWorld {
  readonly server: SqlServer
  readonly database: SqlDatabase
}

export interface ConnectionsSuite {
  start(): Promise<SqlServer>
  /** Connection strings that lead into the database. */
  forms(world: SqlWorld): readonly string[]
  readonly createTable: 'postgres' | 'mariadb'
  /** Columns of tables that cannot be used, and why; undefined for one that can. */
  readonly tables: readonly (readonly [columns: string, refusal: RegExp | undefined])[]
  /** What is said of a password that is wrong, and of a database that is not there. */
  readonly wrongPassword: RegExp
  readonly noDatabase: RegExp
  /** Tables that take ids for one that differ, with ids that each takes for `_IK_a_x`. */
  readonly folding: readonly (readonly [
    make: (world: SqlWorld) => Promise<SqlDatabase>,
    alike: readonly string[],
  ])[]
  /** Databases that have `é`, and nothing that Latin-1 has not. */
  readonly latin1: readonly ((world: SqlWorld) => Promise<SqlDatabase>)[]
}

/** How a store in an SQL database makes, keeps and ends connections, and what it says when it is refused. */
export function sqlConnections(dialect: SqlDialect, suite: ConnectionsSuite): SqlWorld {
  let server: SqlServer
  let database: SqlDatabase
  const world: SqlWorld = {
    get server() {
      return server
    },
    get database() {
      return database
    },
  }
  before(async () => {
    server = await suite.start()
    database = await server.createDatabase()
    await database.query(dialect.observe)
  })
  after(() => server.remove())

  const sessions = (): Promise<number> => server.sessions(database)

  async function connect(options?: SqlPoolOptions): Promise<SqlStore> {
    return dialect.connect(database.url(), options)
  }

  describe(`${dialect.name} connections`, () => {
    test('are made from every form of a connection string', async (context) => {
      for (const [index, form] of suite.forms(world).entries()) {
        const store = await dialect.connect(form)
        context.after(() => store.close())
        assert.equal(await store.store(`_SK_form-${index}`, base, sampleRecord(base, index)), true)
        assert.deepEqual(await store.loadLatest(`_SK_form-${index}`), sampleRecord(base, index))
      }
    })

    test('are as many as calls where there is no limit, and two are kept', async (context) => {
      const store = await connect({ pool: { maxOpen: 0 } })
      context.after(() => store.close())
      const ids = Array.from({ length: 40 }, (_, index) => `_IK_held-${index}`)
      // Each call waits until it is known what becomes of the row of its id that is not committed yet.
      const holder = server.userPool(database, 1)
      await holder.query('BEGIN')
      const rows = ids.map((id) => `('${id}', ${dialect.time(base)}, '{}')`)
      await holder.query(`INSERT INTO encryption_key (id, created, key_record) VALUES ${rows.join()}`)
      const calls = ids.map((id, index) => store.store(id, base, sampleRecord(base, index)))
      await until(async () => (await sessions()) === 41)
      await holder.query('ROLLBACK')
      await holder.end()
      assert.ok((await Promise.all(calls)).every(Boolean))
      await until(async () => (await sessions()) === 2)
    })

    test('are never more than the limit', async (context) => {
      const store = await connect({ pool: { maxOpen: 3, maxIdle: 10 } })
      context.after(() => store.close())
      assert.ok((await storeSlowly(store, 'limited', 12)).every(Boolean))
      assert.equal(await sessionsThatStored(database, 'limited'), 3)
    })

    test('end after their idle time and their lifetime', async () => {
      for (const limits of [{ maxIdleTimeSeconds: 1 }, { maxLifetimeSeconds: 1 }]) {
        await until(async () => (await sessions()) === 0)
        const store = await connect({ pool: limits })
        await store.load('_SK_a', base)
        assert.equal(await sessions(), 1)
        await until(async () => (await sessions()) === 0)
        assert.equal(await store.load('_SK_a', base), undefined)
        await store.close()
      }
    })

    test('end with close, those in use after their calls', async () => {
      const store = await connect()
      const calls = storeSlowly(store, 'closing', 10)
      await sleep(50)
      await store.close()
      assert.ok((await calls).every(Boolean))
      await until(async () => (await sessions()) === 0)
      await assert.rejects(store.load('_SK_a', base), { code: 'ERR_CLOSED' })
    })

    test('do not keep a process alive that is done', () => {
      const program = `
        const { ${dialect.module.name} } = await import(process.argv[1])
        const store = await ${dialect.module.name}.connect(process.argv[2])
        console.log(await store.load('_SK_a', 60))`
      const output = execFileSync(
        process.execPath,
        ['--input-type=module', '-e', program, dialect.module.url, database.url()],
        { encoding: 'utf8', timeout: 20_000 },
      )
      assert.equal(output, 'undefined\n')
    })

    test('take no consistency that is no word of Aurora', async () => {
      await assert.rejects(
        connect({ replicaReadConsistency: "x'; DROP TABLE y" as 'session' }),
        refusal(server.address, 'ERR_CONFIG_INVALID', /eventual, global, session/),
      )
    })
  })

  describe(`${dialect.name} refusals`, () => {
    const isRefusal = (message: RegExp) => refusal(server.address, 'ERR_METASTORE', message)

    async function storeAt(url: string): Promise<boolean> {
      const store = await dialect.connect(url)
      try {
        return await store.store('_SK_a', base, sampleRecord(base, 1))
      } finally {
        await store.close()
      }
    }

    test('name what to do, and show no password', async (context) => {
      const other = await server.createDatabase()
      context.after(() => other.drop())
      const { user } = server.address.limited
      const account = dialect.name === 'Postgres' ? user : `${user}@'%'`
      await other.query(`REVOKE INSERT ON encryption_key FROM ${account}`)
      await assert.rejects(storeAt(other.url()), isRefusal(/the account may not/))
      await other.query('DROP TABLE encryption_key')
      // MariaDB tells only those that there is no table who may use all of them.
      if (dialect.name === 'MySQL') await other.query(`GRANT SELECT, INSERT ON ${other.name}.* TO ${account}`)
      await assert.rejects(storeAt(other.url()), (error) => {
        assert.ok(String((error as Error).message).includes(createTable(suite.createTable)))
        return isRefusal(/there is no table encryption_key/)(error)
      })
      for (const [columns, expected] of suite.tables) {
        await other.query(`DROP TABLE IF EXISTS encryption_key; CREATE TABLE encryption_key (${columns})`)
        await other.query(`GRANT SELECT, INSERT ON encryption_key TO ${account}`)
        if (expected === undefined) assert.equal(await storeAt(other.url()), true, columns)
        else await assert.rejects(storeAt(other.url()), isRefusal(expected), columns)
      }
      const wrong = { user, password: `${server.address.limited.password}x` }
      for (const [url, expected] of [
        [other.url({ account: wrong }), suite.wrongPassword],
        [other.url().replace(other.name, 'nowhere'), suite.noDatabase],
        [other.url({ port: 1 }), /can be reached.*ECONNREFUSED/],
        [other.url({ host: 'nowhere.invalid' }), /can be reached/],
      ] as const) {
        await assert.rejects(storeAt(url), isRefusal(expected))
      }
    })

    test('are of ids that do not fit', async (context) => {
      const store = await connect()
      context.after(() => store.close())
      const longest = '\u{1f511}'.repeat(255)
      assert.equal(await store.store(longest, base, sampleRecord(base, 1)), true)
      assert.deepEqual(await store.loadLatest(longest), sampleRecord(base, 1))
      assert.equal(await store.loadLatest(`${longest}x`), undefined)
      await assert.rejects(
        store.store(`${longest}x`, base, sampleRecord(base, 1)),
        isRefusal(/longer than its column/),
      )
    })

    test('are of ids that a table does not tell apart', async (context) => {
      for (const [make, alike] of suite.folding) {
        const folding = await make(world)
        const store = await dialect.connect(folding.url())
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
            assert.equal(outcome.status, 'rejected', `${JSON.stringify(id)}, call ${index}`)
            refusal(server.address, 'ERR_METASTORE_ROW_MALFORMED', /does not tell from/)(outcome.reason)
          }
        }
        assert.deepEqual(await store.load('_IK_a_x', base), sampleRecord(base, 1))
        assert.deepEqual([...(await store.loadLatestMany(['_IK_a_x', '_IK_b'])).keys()], ['_IK_a_x'])
      }
    })

    test('are of ids that the table has no character for, and no question mark is stored', async (context) => {
      for (const make of suite.latin1) {
        const latin1 = await make(world)
        const store = await dialect.connect(latin1.url())
        context.after(async () => {
          await store.close()
          await latin1.drop()
        })
        assert.equal(await store.store('_IK_\u{e9}', base, sampleRecord(base, 1)), true)
        assert.deepEqual(await store.loadLatest('_IK_\u{e9}'), sampleRecord(base, 1))
        for (const id of ['_IK_日本', '_IK_\u{1f511}', '_IK_e\u{301}']) {
          await assert.rejects(
            store.store(id, base, sampleRecord(base, 1)),
            isRefusal(/has not all of the id's characters|encoding has no such character/),
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

  return world
}
