import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import type { AsherahError } from '../../src/errors.ts'
import { SessionFactory } from '../../src/session-factory.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { mysqlDialect } from './mysql-dialect.ts'
import { postgresDialect } from './postgres-dialect.ts'
import {
  base,
  refusal,
  type SqlDatabase,
  type SqlServer,
  sessionsThatStored,
  storeSlowly,
  until,
} from './sql-dialect.ts'

const { certificates } = testServers()
const room = 17

for (const dialect of [postgresDialect, mysqlDialect]) {
  describe(`${dialect.name} with room for ${room} connections, and no limit of ours`, () => {
    let server: SqlServer
    let database: SqlDatabase
    before(async () => {
      server = await dialect.start({ certificates, maxConnections: room })
      database = await server.createDatabase()
      await database.query(dialect.observe)
    })
    after(() => server.remove())

    test('warms 2,000 new partitions', async () => {
      const config = {
        serviceName: 'api',
        productId: 'catalog',
        metastore: 'rdbms',
        connectionString: database.url(),
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
        // A busy machine is no reason to fail.
        connectTimeout: 60_000,
        queryTimeout: 60_000,
        callTimeout: 120_000,
      }
      {
        await using factory = new SessionFactory(config)
        await factory.warm(Array.from({ length: 2000 }, (_, index) => `p${index}`))
        const count = "SELECT COUNT(*) FROM encryption_key WHERE id LIKE '_IK_p%'"
        assert.equal(await database.query(count), '2000')
        for (const partition of ['p0', 'p1999']) {
          const session = factory.getSession(partition)
          assert.equal(session.decryptString(session.encryptString('x')), 'x')
        }
      }
      await until(async () => (await server.sessions(database)) === 0)
    })

    test('serves more calls than it has connections, each of which takes its time', async () => {
      const store = await dialect.connect(database.url(), {
        connectTimeoutMs: 60_000,
        queryTimeoutMs: 60_000,
      })
      assert.ok((await storeSlowly(store, 'full', 100)).every(Boolean))
      const used = await sessionsThatStored(database, 'full')
      assert.ok(used > room / 2, `${used}`)
      await store.close()
      await until(async () => (await server.sessions(database)) === 0)
    })

    test('is an error when others have them all, and serves on when they are free', async () => {
      const others = Array.from({ length: room }, () => server.userPool(database, 1))
      await Promise.all(others.map((other) => other.query('SELECT 1')))
      const store = await dialect.connect(database.url())
      const full = refusal(server.address, 'ERR_METASTORE', /has no connection left/)
      for (const call of [
        () => store.load('_SK_a', base),
        () => store.loadLatestMany(['_SK_a']),
        () => store.store('_SK_a', base, sampleRecord(base, 1)),
      ]) {
        await assert.rejects(call(), (error) => {
          assert.match(String((error as AsherahError).cause), /too many|slots are reserved/i)
          return full(error)
        })
      }
      // Together they share the only one that there is.
      await others[0]?.end()
      await until(async () => {
        try {
          return (await store.load('_SK_a', base)) === undefined
        } catch (error) {
          full(error)
          return false
        }
      })
      const answers = await Promise.all(Array.from({ length: 200 }, () => store.loadLatest('_SK_a')))
      assert.deepEqual(answers, Array.from({ length: 200 }))
      await Promise.all([store.close(), ...others.slice(1).map((other) => other.end())])
    })
  })
}
