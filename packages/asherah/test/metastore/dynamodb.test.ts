import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AttributeValue, DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { AsherahError } from '../../src/errors.ts'
import { DynamoDbMetastore, dynamoDbEndpoint } from '../../src/metastore/dynamodb.ts'
import { decodeItem, encodeItem, type Item } from '../../src/metastore/dynamodb-item.ts'
import { codeOf } from '../support/world.ts'
import { sampleRecord } from './contract.ts'

const base = 1_795_315_800

/** A client that answers with what it is given. */
function clientOf(
  send: (command: { input: Record<string, unknown> }, options: { abortSignal: AbortSignal }) => unknown,
  region = 'us-west-2',
) {
  const state = { destroyed: false }
  const client = {
    config: { region: async () => region },
    send: async (command: never, options: never) => send(command, options),
    destroy: () => {
      state.destroyed = true
    },
  }
  return { client: client as unknown as DynamoDBClient, state }
}

test('an item is exactly what the contract shows', () => {
  const key = 'y6biLP6xtfCqiRNmvrD1XODXa2+c38VrfgjUz0MXizcsBRr1TS8hTeiykcBlBTNA+U7/etbLprtvFnaB'
  const record = {
    created: base,
    encryptedKey: Buffer.from(key, 'base64'),
    parentKeyMeta: { keyId: '_SK_api_catalog', created: base },
  }
  const item = encodeItem('_IK_tenant-42_api_catalog', base, record)
  assert.equal(
    JSON.stringify(item),
    '{"Id":{"S":"_IK_tenant-42_api_catalog"},"Created":{"N":"1795315800"},"KeyRecord":{"M":{"Created":{"N":"1795315800"},' +
      `"Key":{"S":"${key}"},"ParentKeyMeta":{"M":{"KeyId":{"S":"_SK_api_catalog"},"Created":{"N":"1795315800"}}}}}}`,
  )
  assert.deepEqual(decodeItem('_IK_tenant-42_api_catalog', base, item), {
    ...record,
    encryptedKey: new Uint8Array(record.encryptedKey),
  })
})

test('Revoked is written only when true, ParentKeyMeta only when there is one', () => {
  const members = (record: Parameters<typeof encodeItem>[2]) =>
    Object.keys(encodeItem('_SK_a', base, record)['KeyRecord']?.M ?? {})
  assert.deepEqual(members({ created: base, encryptedKey: Uint8Array.of(1) }), ['Created', 'Key'])
  assert.deepEqual(members({ created: base, encryptedKey: Uint8Array.of(1), revoked: false }), [
    'Created',
    'Key',
  ])
  assert.deepEqual(members(sampleRecord(base, 1, { revoked: true })), [
    'Revoked',
    'Created',
    'Key',
    'ParentKeyMeta',
  ])
})

test('items of a wrong type anywhere are malformed, never absent', () => {
  const good = encodeItem('_IK_a', base, sampleRecord(base, 1))['KeyRecord']?.M ?? {}
  const broken: (readonly [string, AttributeValue | undefined])[] = [
    ['no KeyRecord', undefined],
    ['a string', { S: JSON.stringify({ Created: base, Key: 'AAAA' }) }],
    ['a list', { L: [{ M: good }] }],
    ['no Created', { M: { ...good, Created: { NULL: true } } }],
    ['Created a string', { M: { ...good, Created: { S: String(base) } } }],
    ['another Created', { M: { ...good, Created: { N: String(base + 1) } } }],
    ['Created in exponent form', { M: { ...good, Created: { N: '17953158E2' } } }],
    ['Created no number', { M: { ...good, Created: { N: 'NaN' } } }],
    ['Key binary', { M: { ...good, Key: { B: new Uint8Array(60) } } }],
    ['Key a number', { M: { ...good, Key: { N: '1' } } }],
    ['Key not canonical', { M: { ...good, Key: { S: 'AAB=' } } }],
    ['Key a set', { M: { ...good, Key: { SS: ['AAAA'] } } }],
    ['Revoked a string', { M: { ...good, Revoked: { S: 'true' } } }],
    ['Revoked a set', { M: { ...good, Revoked: { NS: ['1'] } } }],
    ['ParentKeyMeta a string', { M: { ...good, ParentKeyMeta: { S: '_SK_a' } } }],
    ['ParentKeyMeta without Created', { M: { ...good, ParentKeyMeta: { M: { KeyId: { S: '_SK_a' } } } } }],
    [
      'ParentKeyMeta with a binary id',
      { M: { ...good, ParentKeyMeta: { M: { KeyId: { B: new Uint8Array(3) }, Created: { N: '1' } } } } },
    ],
  ]
  for (const [what, KeyRecord] of broken) {
    const item: Item = KeyRecord === undefined ? {} : { KeyRecord }
    assert.throws(
      () => decodeItem('_IK_a', base, item),
      (error: unknown) => error instanceof AsherahError && error.code === 'ERR_METASTORE_ROW_MALFORMED',
      what,
    )
  }
  // What other writers leave is read.
  const parent = {
    M: { KeyId: { S: '_SK_api_catalog' }, Created: { N: String(base) }, More: { BOOL: false } },
  }
  for (const record of [
    { ...good, Revoked: { BOOL: false } },
    { ...good, Revoked: { NULL: true as const } },
    { ...good, ParentKeyMeta: parent, Extra: { B: new Uint8Array(3) } },
  ]) {
    assert.deepEqual(decodeItem('_IK_a', base, { KeyRecord: { M: record } }), sampleRecord(base, 1))
  }
})

test("the latest item's own Created must be a whole number", async () => {
  const item = encodeItem('_IK_a', base, sampleRecord(base, 1))
  for (const Created of [
    { N: '1.5' },
    { S: String(base) },
    { N: '17953158E2' },
    { N: '99999999999999999999' },
  ]) {
    const { client } = clientOf(() => ({ Items: [{ ...item, Created }] }))
    const store = await DynamoDbMetastore.open({ client })
    assert.equal(await codeOf(() => store.loadLatest('_IK_a')), 'ERR_METASTORE_ROW_MALFORMED')
  }
})

test('the calls are those of the contract', async () => {
  const inputs: Record<string, unknown>[] = []
  const { client } = clientOf(({ input }) => {
    inputs.push(input)
    return {}
  })
  const store = await DynamoDbMetastore.open({ client, tableName: 'Keys' })
  assert.equal(await store.load('_IK_a', base), undefined)
  assert.equal(await store.loadLatest('_IK_a'), undefined)
  assert.equal(await store.store('_IK_a', base, sampleRecord(base, 1)), true)
  assert.deepEqual(inputs, [
    {
      TableName: 'Keys',
      Key: { Id: { S: '_IK_a' }, Created: { N: String(base) } },
      ProjectionExpression: 'KeyRecord',
      ConsistentRead: true,
    },
    {
      TableName: 'Keys',
      KeyConditionExpression: 'Id = :id',
      ExpressionAttributeValues: { ':id': { S: '_IK_a' } },
      ScanIndexForward: false,
      Limit: 1,
      ConsistentRead: true,
    },
    {
      TableName: 'Keys',
      Item: encodeItem('_IK_a', base, sampleRecord(base, 1)),
      ConditionExpression: 'attribute_not_exists(Id)',
    },
  ])
})

test('a failed condition is told by the name of the error, from whatever copy of the SDK', async () => {
  for (const [name, expected] of [
    ['ConditionalCheckFailedException', undefined],
    ['ConditionalCheckFailed', 'ERR_METASTORE'],
    ['TransactionCanceledException', 'ERR_METASTORE'],
  ] as const) {
    const { client } = clientOf(() => {
      throw Object.assign(new Error('The conditional request failed'), { name })
    })
    const store = await DynamoDbMetastore.open({ client })
    const code = await codeOf(async () =>
      assert.equal(await store.store('_IK_a', base, sampleRecord(base, 1)), false),
    )
    assert.equal(code, expected, name)
  }
})

test('a missing table is told with the command that makes it', async () => {
  const { client } = clientOf(() => {
    throw Object.assign(new Error('Requested resource not found'), { name: 'ResourceNotFoundException' })
  })
  const store = await DynamoDbMetastore.open({ client, tableName: 'Keys' })
  await assert.rejects(store.loadLatest('_IK_a'), (error: unknown) => {
    assert.ok(error instanceof AsherahError)
    assert.equal(error.code, 'ERR_METASTORE')
    assert.match(
      error.message,
      /aws dynamodb create-table --table-name Keys .*AttributeName=Created,KeyType=RANGE/,
    )
    return true
  })
})

test('a call that is not answered is given up, and its connection with it', async () => {
  let aborted = false
  const { client } = clientOf(
    (_, { abortSignal }) =>
      new Promise((_resolve, reject) =>
        abortSignal.addEventListener('abort', () => {
          aborted = true
          reject(new DOMException('aborted', 'AbortError'))
        }),
      ),
  )
  const store = await DynamoDbMetastore.open({ client, queryTimeoutMs: 30 })
  assert.equal(await codeOf(() => store.load('_IK_a', base)), 'ERR_TIMEOUT')
  assert.equal(aborted, true)
})

test('ids and times that cannot be there are not asked for', async () => {
  const { client } = clientOf(() => assert.fail('a call was made'))
  const store = await DynamoDbMetastore.open({ client })
  for (const keyId of ['', '_IK_\ud800', 'é'.repeat(1025)]) {
    assert.equal(await store.load(keyId, base), undefined)
    assert.equal(await store.loadLatest(keyId), undefined)
    assert.equal(await codeOf(() => store.store(keyId, base, sampleRecord(base, 1))), 'ERR_METASTORE')
  }
  assert.equal(await store.load('_IK_a', 1.5), undefined)
})

test('many ids are asked for side by side, each once, 50 at a time at most', async () => {
  let under = 0
  let most = 0
  const asked: string[] = []
  const { client } = clientOf(async ({ input }) => {
    const { ':id': id } = input['ExpressionAttributeValues'] as { ':id': { S: string } }
    asked.push(id.S)
    most = Math.max(most, ++under)
    await new Promise((resolve) => setTimeout(resolve, 1))
    under -= 1
    return id.S.endsWith('7') ? {} : { Items: [encodeItem(id.S, base, sampleRecord(base, 1))] }
  })
  const store = await DynamoDbMetastore.open({ client })
  const ids = Array.from({ length: 500 }, (_, index) => `_IK_${index}`)
  const found = await store.loadLatestMany([...ids, '_IK_1', '_IK_1'])
  assert.equal(asked.length, 500)
  assert.equal(most, 50)
  assert.equal(found.size, 450)
  assert.deepEqual(found.get('_IK_3'), sampleRecord(base, 1))
  assert.equal(found.has('_IK_7'), false)
  assert.equal((await store.loadLatestMany([])).size, 0)
})

test('one failing look-up fails the batch', async () => {
  const { client } = clientOf(({ input }) => {
    if (JSON.stringify(input).includes('_IK_3'))
      throw Object.assign(new Error('no'), { name: 'ThrottlingException' })
    return {}
  })
  const store = await DynamoDbMetastore.open({ client })
  assert.equal(
    await codeOf(() => store.loadLatestMany(['_IK_1', '_IK_2', '_IK_3', '_IK_4'])),
    'ERR_METASTORE',
  )
})

test("the suffix is the client's region, and a client without one is refused", async () => {
  const { client } = clientOf(() => ({}), 'eu-west-1')
  assert.equal((await DynamoDbMetastore.open({ client })).regionSuffix, '')
  assert.equal((await DynamoDbMetastore.open({ client, regionSuffix: true })).regionSuffix, 'eu-west-1')
  const { client: none, state } = clientOf(() => ({}), '')
  assert.equal(
    await codeOf(() => DynamoDbMetastore.open({ client: none, regionSuffix: true })),
    'ERR_CONFIG_INVALID',
  )
  assert.equal(state.destroyed, false)
})

test('the suffix of a client that is made here is the signing region, before the region, before the environment', async () => {
  const suffixOf = async (options: Parameters<typeof DynamoDbMetastore.open>[0]) => {
    const store = await DynamoDbMetastore.open({ ...options, regionSuffix: true })
    await store.close()
    return store.regionSuffix
  }
  const before = process.env['AWS_REGION']
  process.env['AWS_REGION'] = 'ap-south-1'
  try {
    assert.equal(await suffixOf({}), 'ap-south-1')
    assert.equal(await suffixOf({ region: 'us-west-2' }), 'us-west-2')
    assert.equal(await suffixOf({ region: 'us-west-2', signingRegion: 'us-east-1' }), 'us-east-1')
    delete process.env['AWS_REGION']
    // No file of the account that runs this test is to count.
    Object.assign(process.env, {
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    })
    assert.equal(await codeOf(() => suffixOf({})), 'ERR_CONFIG_INVALID')
  } finally {
    if (before !== undefined) process.env['AWS_REGION'] = before
  }
})

test('the endpoint is derived from the region only where another one signs', () => {
  const cases = [
    [{}, undefined],
    [{ region: 'us-west-2' }, undefined],
    [{ signingRegion: 'us-west-2' }, undefined],
    [{ region: 'us-west-2', signingRegion: 'us-west-2' }, undefined],
    [{ region: 'us-west-2', signingRegion: 'us-east-1' }, 'https://dynamodb.us-west-2.amazonaws.com'],
    [{ region: 'cn-north-1', signingRegion: 'us-east-1' }, 'https://dynamodb.cn-north-1.amazonaws.com.cn'],
    [{ region: 'us-iso-east-1', signingRegion: 'us-east-1' }, 'https://dynamodb.us-iso-east-1.c2s.ic.gov'],
    [
      { region: 'us-isob-east-1', signingRegion: 'us-east-1' },
      'https://dynamodb.us-isob-east-1.sc2s.sgov.gov',
    ],
    [
      { region: 'us-west-2', signingRegion: 'us-east-1', endpoint: 'http://127.0.0.1:8000' },
      'http://127.0.0.1:8000',
    ],
  ] as const
  for (const [options, endpoint] of cases) assert.equal(dynamoDbEndpoint(options), endpoint)
})

test("close waits for calls under way and leaves the user's client alone", async () => {
  let answer = (_: object): void => {}
  const { client, state } = clientOf(() => new Promise((resolve) => (answer = resolve)))
  const store = await DynamoDbMetastore.open({ client })
  const call = store.loadLatest('_IK_a')
  let closed = false
  const closing = store.close().then(() => (closed = true))
  await new Promise((resolve) => setTimeout(resolve, 5))
  assert.equal(closed, false)
  assert.equal(await codeOf(() => store.loadLatest('_IK_a')), 'ERR_CLOSED')
  answer({})
  await Promise.all([call, closing, store.close()])
  assert.equal(state.destroyed, false)
})
