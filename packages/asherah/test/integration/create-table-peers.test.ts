import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Peer, type PeerMetastore, testMasterKey } from '../../../../tests/support/servers/peer.ts'
import { createPostgresDatabase } from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { createDatabase } from './mysql-store.ts'

const { mariadb, postgres } = testServers()

async function mysqlTable() {
  const database = await createDatabase(mariadb)
  const store = await MysqlMetastore.connect(database.dsn())
  return { kind: 'mysql', database, server: mariadb, store } as const
}

async function postgresTable() {
  const database = await createPostgresDatabase(postgres, { keyRecord: 'none', timeZone: 'America/New_York' })
  await database.query(createTable('postgres'))
  await database.query(`GRANT SELECT, INSERT ON encryption_key TO ${postgres.limited.user}`)
  const store = await PostgresMetastore.connect(database.url())
  return { kind: 'postgres', database, server: postgres, store } as const
}

test('the tables of createTable serve the Java and the Rust peer, whose rows are read', async (context) => {
  // Neither asks AWS for anything.
  const options = { awsEndpoint: 'http://127.0.0.1:1' }
  const [java, rust] = await Promise.all([Peer.start('java', options), Peer.start('rust', options)])
  context.after(() => Promise.all([java.stop(), rust.stop()]))
  for (const make of [mysqlTable, postgresTable]) {
    const { kind, database, server, store } = await make()
    context.after(async () => {
      await store.close()
      await database.drop()
    })
    const { host, port, limited } = server
    const metastore: PeerMetastore = { kind, host, port, database: database.name, ...limited }
    const config = {
      service: 'api',
      product: 'catalog',
      metastore,
      kms: { kind: 'static', key: testMasterKey },
    } as const
    const [one, other] = [await java.configure(config), await rust.configure(config)]
    const byJava = await one.encrypt('java', Buffer.from('by Java'))
    const byRust = await other.encrypt('rust', Buffer.from('by Rust'))
    assert.equal((await other.decrypt('java', byJava)).toString(), 'by Java')
    assert.equal((await one.decrypt('rust', byRust)).toString(), 'by Rust')
    await Promise.all([one.close(), other.close()])
    const ids = ['_SK_api_catalog', '_IK_java_api_catalog', '_IK_rust_api_catalog']
    assert.deepEqual([...(await store.loadLatestMany(ids)).keys()].toSorted(), ids.toSorted())
    for (const id of ids) {
      const latest = await store.loadLatest(id)
      assert.ok(latest !== undefined, id)
      assert.deepEqual(await store.load(id, latest.created), latest)
    }
  }
})
