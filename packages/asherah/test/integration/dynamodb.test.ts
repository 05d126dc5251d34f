import assert from 'node:assert/strict'
import { Agent } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import {
  createDynamoDbTable,
  DynamoDbServer,
  type DynamoDbTable,
} from '../../../../tests/support/servers/dynamodb.ts'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { AsherahError } from '../../src/errors.ts'
import { DynamoDbMetastore, type DynamoDbOptions } from '../../src/metastore/dynamodb.ts'
import { metastoreContract, sampleRecord } from '../metastore/contract.ts'
import { codeOf } from '../support/world.ts'

const base = 1_795_315_800
const longestRowText = 256 * 1024

Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })

const server = await DynamoDbServer.start()
after(() => server.remove())

async function made(): Promise<{ table: DynamoDbTable; options: DynamoDbOptions }> {
  const table = await createDynamoDbTable(server.endpoint)
  return { table, options: { tableName: table.name, region: table.region, endpoint: table.endpoint } }
}

/** A JSON value as DynamoDB keeps it. */
function attribute(value: unknown): object {
  if (value === null) return { NULL: true }
  if (typeof value === 'string') return { S: value }
  if (typeof value === 'number') return { N: String(value) }
  if (typeof value === 'boolean') return { BOOL: value }
  if (Array.isArray(value)) return { L: value.map(attribute) }
  return {
    M: Object.fromEntries(Object.entries(value as object).map(([name, member]) => [name, attribute(member)])),
  }
}

metastoreContract(
  'dynamodb',
  async () => {
    const { table, options } = await made()
    const store = await DynamoDbMetastore.open(options)
    return {
      store,
      argument: JSON.stringify(options),
      insertRaw: async (keyId, created, text) => {
        // Rows are maps here: what is no JSON cannot be in one, and unknown members are not read, however long they are.
        const value = text.length > longestRowText ? undefined : parse(text)
        if (value === undefined) return false
        await table.put({ Id: { S: keyId }, Created: { N: String(created) }, KeyRecord: attribute(value) })
        return true
      },
      end: async () => {
        await store.close()
        await table.drop()
      },
    }
  },
  {
    closes: true,
    keepsText: true,
    contender: new URL('dynamodb-contender.ts', import.meta.url).href,
    runs: 15,
  },
)

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

describe('DynamoDB', () => {
  let table: DynamoDbTable
  let options: DynamoDbOptions
  let proxy: FaultProxy

  before(async () => {
    ;({ table, options } = await made())
    proxy = await FaultProxy.start({ host: '127.0.0.1', port: Number(new URL(server.endpoint).port) })
  })
  after(() => proxy.close())

  const proxied = (more: DynamoDbOptions = {}) =>
    DynamoDbMetastore.open({ ...options, endpoint: `http://127.0.0.1:${proxy.port}`, ...more })

  test('the stored item is the one of the contract', async () => {
    const store = await DynamoDbMetastore.open(options)
    await store.store('_IK_tenant-42_api_catalog', base, sampleRecord(base, 1))
    const items = await table.items()
    const key = Buffer.from(sampleRecord(base, 1).encryptedKey).toString('base64')
    assert.deepEqual(
      items.find(({ Id }) => (Id as { S: string }).S === '_IK_tenant-42_api_catalog'),
      {
        Id: { S: '_IK_tenant-42_api_catalog' },
        Created: { N: '1795315800' },
        KeyRecord: {
          M: {
            Created: { N: '1795315800' },
            Key: { S: key },
            ParentKeyMeta: { M: { KeyId: { S: '_SK_api_catalog' }, Created: { N: '1795315800' } } },
          },
        },
      },
    )
    await store.close()
  })

  test('a lost acknowledgement of a store ends as a row that is there', async () => {
    const store = await proxied()
    assert.equal(await store.loadLatest('_IK_lost'), undefined)
    proxy.set({ kind: 'cut', direction: 'to-client', times: 1 })
    // The SDK asks again, and finds that its first try was stored.
    assert.equal(await store.store('_IK_lost', base, sampleRecord(base, 3)), false)
    assert.equal(proxy.struck, 1)
    assert.deepEqual(await store.load('_IK_lost', base), sampleRecord(base, 3))
    await store.close()
  })

  test('connections that are reset, cut or truncated are errors with a code, and the store works again', async () => {
    const store = await proxied()
    await store.store('_IK_faults', base, sampleRecord(base, 4))
    for (const fault of [
      { kind: 'reset' },
      { kind: 'cut', direction: 'to-client' },
      { kind: 'truncate', direction: 'to-client', afterBytes: 100 },
    ] as const) {
      proxy.set(fault)
      assert.equal(await codeOf(() => store.loadLatest('_IK_faults')), 'ERR_METASTORE', fault.kind)
      proxy.set({ kind: 'pass' })
      proxy.resetAll()
      assert.deepEqual(await store.loadLatest('_IK_faults'), sampleRecord(base, 4))
    }
    await store.close()
  })

  test('a black hole is given up after the limit, and its sockets are freed', async () => {
    const agent = new Agent({ keepAlive: true })
    const client = new DynamoDBClient({
      region: table.region,
      endpoint: `http://127.0.0.1:${proxy.port}`,
      requestHandler: { httpAgent: agent },
    })
    const store = await DynamoDbMetastore.open({ client, tableName: table.name, queryTimeoutMs: 300 })
    proxy.set({ kind: 'black-hole' })
    const started = performance.now()
    const codes = await Promise.all(
      Array.from({ length: 5 }, (_, index) => codeOf(() => store.load(`_IK_${index}`, base))),
    )
    assert.deepEqual(codes, Array(5).fill('ERR_TIMEOUT'))
    assert.ok(performance.now() - started < 3000)
    await new Promise((resolve) => setTimeout(resolve, 100))
    assert.deepEqual([Object.keys(agent.sockets), Object.keys(agent.requests)], [[], []])
    proxy.set({ kind: 'pass' })
    assert.equal(await store.load('_IK_none', base), undefined)
    await store.close()
    client.destroy()
  })

  test('rows survive a restart of the server, during which calls fail with a code', async () => {
    const store = await DynamoDbMetastore.open({ ...options, queryTimeoutMs: 1500 })
    await store.store('_IK_restart', base, sampleRecord(base, 5))
    await server.stop()
    const code = await codeOf(() => store.loadLatest('_IK_restart'))
    assert.ok(code === 'ERR_METASTORE' || code === 'ERR_TIMEOUT', code)
    await server.restart()
    assert.deepEqual(await store.loadLatest('_IK_restart'), sampleRecord(base, 5))
    await store.close()
  })

  test('a missing table is told with the command that makes it', async () => {
    const store = await DynamoDbMetastore.open({ ...options, tableName: 'NoSuchTable' })
    for (const call of [
      () => store.load('_IK_a', base),
      () => store.loadLatest('_IK_a'),
      () => store.store('_IK_a', base, sampleRecord(base, 1)),
    ]) {
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof AsherahError && error.code === 'ERR_METASTORE')
        assert.match(error.message, /aws dynamodb create-table --table-name NoSuchTable /)
        return true
      })
    }
    await store.close()
  })

  test('requests are signed for the signing region, wherever they go', async () => {
    // DynamoDB Local keeps the tables of each region apart, by the region of the signature.
    const there = await createDynamoDbTable(server.endpoint, { region: 'us-east-1' })
    const store = await DynamoDbMetastore.open({
      tableName: there.name,
      endpoint: server.endpoint,
      region: 'us-west-2',
      signingRegion: 'us-east-1',
      regionSuffix: true,
    })
    assert.equal(store.regionSuffix, 'us-east-1')
    assert.equal(await store.store('_SK_a', base, sampleRecord(base, 1)), true)
    assert.equal((await there.items()).length, 1)
    await store.close()
    await there.drop()
  })

  test("a client of the user's own works on after close", async () => {
    const client = new DynamoDBClient({ region: table.region, endpoint: server.endpoint })
    const store = await DynamoDbMetastore.open({ client, tableName: table.name, regionSuffix: true })
    assert.equal(store.regionSuffix, table.region)
    await store.store('_IK_own', base, sampleRecord(base, 6))
    await store.close()
    assert.equal(await codeOf(() => store.load('_IK_own', base)), 'ERR_CLOSED')
    const again = await DynamoDbMetastore.open({ client, tableName: table.name })
    assert.deepEqual(await again.load('_IK_own', base), sampleRecord(base, 6))
    client.destroy()
  })

  test('250 look-ups in one go are at least 5 times faster than one by one, 15 ms away', async () => {
    proxy.set({ kind: 'delay', ms: 15, direction: 'to-client' })
    const store = await proxied()
    const ids = Array.from({ length: 250 }, (_, index) => `_IK_many-${index}`)
    await Promise.all(ids.slice(0, 100).map((keyId) => store.store(keyId, base, sampleRecord(base, 1))))
    const started = performance.now()
    const found = await store.loadLatestMany(ids)
    const together = performance.now() - started
    assert.equal(found.size, 100)
    const aloneStarted = performance.now()
    for (const keyId of ids.slice(0, 50)) await store.loadLatest(keyId)
    const alone = (performance.now() - aloneStarted) * 5
    assert.ok(together * 5 < alone, `${together} ms, ${alone} ms one by one`)
    proxy.set({ kind: 'pass' })
    await store.close()
  })
})
