import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { SessionFactory } from '../../../packages/asherah/src/index.ts'
import { PostgresServer, queryPostgres } from '../../support/servers/postgres.ts'
import { createPostgresDatabase, type PostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { masterKeyHex, productId, serviceName } from './participants.ts'

/**
 * What a partition that is not in memory costs, counted by the server itself. One query finds the intermediate key; one
 * finds its system key, once for all partitions; what does not exist costs its insertion and nothing more.
 */

let server: PostgresServer
let database: PostgresDatabase

before(async () => {
  server = await PostgresServer.start({
    certificates: testServers().certificates,
    settings: ['shared_preload_libraries=pg_stat_statements'],
  })
  await queryPostgres(server.address, 'CREATE EXTENSION pg_stat_statements')
})

after(() => server.remove())

function factory(): SessionFactory {
  return new SessionFactory({
    serviceName,
    productId,
    metastore: 'rdbms',
    connectionString: database.url(),
    kms: 'static',
    staticMasterKeyHex: masterKeyHex,
    // Thousands of insertions at once would otherwise open as many connections.
    poolMaxOpen: 20,
    queryTimeout: 60_000,
    callTimeout: 120_000,
  })
}

/** How many statements the server has carried out for the library while `action` ran. */
async function queriesOf(action: () => Promise<void>): Promise<number> {
  await queryPostgres(server.address, 'SELECT pg_stat_statements_reset()')
  await action()
  const sql = `SELECT coalesce(sum(calls), 0) FROM pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '${database.name}')
    AND userid = '${server.address.limited.user}'::regrole`
  return Number(await queryPostgres(server.address, sql))
}

const sync = (of: SessionFactory, partition: string): string => of.getSession(partition).encryptString('x')
const later = (of: SessionFactory, partition: string): Promise<string> =>
  of.getSession(partition).encryptStringAsync('x')

describe('queries of a cold partition on PostgreSQL', { timeout: 240_000 }, () => {
  for (const [name, encrypt, decrypt] of [
    [
      'awaited',
      later,
      (of: SessionFactory, id: string, record: string) => of.getSession(id).decryptStringAsync(record),
    ],
    [
      'over the bridge',
      sync,
      (of: SessionFactory, id: string, record: string) => of.getSession(id).decryptString(record),
    ],
  ] as const) {
    test(name, async (context) => {
      database = await createPostgresDatabase(server.address, { keyRecord: 'JSONB' })
      context.after(database.drop)
      const first = factory()
      const records: string[] = []
      const making = async (partition: string): Promise<number> =>
        queriesOf(async () => {
          records.push(await encrypt(first, partition))
        })
      // Look for the intermediate and the system key, insert both.
      assert.equal(await making('a'), 4, 'the very first partition')
      assert.equal(await making('b'), 2, 'a new partition under a system key in memory: look, insert')
      assert.equal(await making('a'), 0, 'a key in memory')

      const second = factory()
      const loading = (partition: string): Promise<number> =>
        queriesOf(async () => void (await encrypt(second, partition)))
      assert.equal(await loading('a'), 2, 'the first partition of a process: its key, the system key')
      assert.equal(await loading('b'), 1, 'every other partition: its key')

      const third = factory()
      const [ofA = '', ofB = ''] = records
      const opening = (partition: string, record: string): Promise<number> =>
        queriesOf(async () => assert.equal(await decrypt(third, partition, record), 'x'))
      assert.equal(await opening('a', ofA), 2)
      assert.equal(await opening('b', ofB), 1)
      assert.equal(await opening('b', ofB), 0)

      const fourth = factory()
      const newUnderOld = await queriesOf(async () => void (await encrypt(fourth, 'c')))
      assert.equal(newUnderOld, 3, 'a new partition, system key not in memory: look for both, insert one')
      await Promise.all([first, second, third, fourth].map((one) => one.closeAsync()))
    })
  }

  test('2,000 at once share them', async (context) => {
    database = await createPostgresDatabase(server.address, { keyRecord: 'JSONB' })
    context.after(database.drop)
    const ids = Array.from({ length: 2000 }, (_, index) => `tenant-${index}`)
    const making = factory()
    await making.warm(ids)
    await making.closeAsync()
    // Up to 500 ids a query, fewer where questions come in as others are answered: the faster the server, the fewer.
    const most = ids.length / 40

    const warming = factory()
    const warmed = await queriesOf(() => warming.warm(ids))
    assert.ok(warmed <= most, `warm() made ${warmed} queries`)
    assert.equal(await queriesOf(async () => void ids.map((id) => sync(warming, id))), 0, 'all are in memory')
    await warming.closeAsync()

    const asking = factory()
    const asked = await queriesOf(async () => void (await Promise.all(ids.map((id) => later(asking, id)))))
    assert.ok(asked <= most, `2,000 calls made ${asked} queries`)
    await asking.closeAsync()
  })
})
