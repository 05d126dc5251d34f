import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  PostgresServer,
  pauseReplay,
  resumeReplay,
  waitForReplay,
} from '../../../../tests/support/servers/postgres.ts'
import {
  createPostgresDatabase,
  type PostgresDatabase,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { sampleRecord } from '../metastore/contract.ts'

const { certificates } = testServers()
const base = 1_795_315_800

// Servers of their own: the replay is paused.
let primary: PostgresServer
let replica: PostgresServer
let database: PostgresDatabase

before(async () => {
  primary = await PostgresServer.start({ certificates })
  replica = await PostgresServer.startReplica(primary.address, { certificates })
  database = await createPostgresDatabase(primary.address, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' })
})
after(async () => {
  await replica.remove()
  await primary.remove()
})

describe('a Postgres replica', () => {
  test('answers with what it knows, and takes no writes', async (context) => {
    const writer = await PostgresMetastore.connect(database.url())
    const reader = await PostgresMetastore.connect(database.url({ port: replica.address.port }))
    context.after(() => Promise.all([writer.close(), reader.close()]))
    await writer.store('_SK_a', base, sampleRecord(base, 1))
    await waitForReplay(primary.address, replica.address)
    await pauseReplay(replica.address)
    await writer.store('_SK_a', base + 60, sampleRecord(base + 60, 2))
    await writer.store('_SK_b', base, sampleRecord(base, 3))
    assert.equal((await reader.loadLatest('_SK_a'))?.created, base)
    assert.equal(await reader.load('_SK_a', base + 60), undefined)
    assert.equal(await reader.loadLatest('_SK_b'), undefined)
    assert.deepEqual([...(await reader.loadLatestMany(['_SK_a', '_SK_b'])).keys()], ['_SK_a'])
    await assert.rejects(reader.store('_SK_c', base, sampleRecord(base, 4)), {
      code: 'ERR_METASTORE',
      message: /takes no writes: it is a replica/,
    })
    await resumeReplay(replica.address)
    await waitForReplay(primary.address, replica.address)
    assert.deepEqual(await reader.loadLatest('_SK_a'), sampleRecord(base + 60, 2))
    assert.deepEqual(await reader.load('_SK_b', base), sampleRecord(base, 3))
  })
})
