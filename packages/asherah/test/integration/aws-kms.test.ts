import assert from 'node:assert/strict'
import { createDecipheriv, randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { DecryptCommand, KMSClient } from '@aws-sdk/client-kms'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { createKmsKey, MotoServer } from '../../../../tests/support/servers/moto.ts'
import { AsherahError } from '../../src/errors.ts'
import { AwsKms, type AwsKmsOptions } from '../../src/kms/aws-kms.ts'
import { codeOf } from '../support/world.ts'

const regions = ['us-west-2', 'us-east-1'] as const
type Region = (typeof regions)[number]
const bytes32 = new Uint8Array(randomBytes(32))

let moto: MotoServer
let arns: Readonly<Record<Region, string>>
/** In front of moto, one for each region. */
let proxies: Readonly<Record<Region, FaultProxy>>

before(async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
  moto = await MotoServer.start()
  const target = { host: '127.0.0.1', port: Number(new URL(moto.endpoint).port) }
  const [west, east] = await Promise.all([FaultProxy.start(target), FaultProxy.start(target)])
  proxies = { 'us-west-2': west, 'us-east-1': east }
  arns = {
    'us-west-2': await createKmsKey(moto.endpoint, 'us-west-2'),
    'us-east-1': await createKmsKey(moto.endpoint, 'us-east-1'),
  }
})

beforeEach(() => {
  for (const region of regions) proxies[region].set({ kind: 'pass' })
})

after(async () => {
  await Promise.all(Object.values(proxies).map((proxy) => proxy.close()))
  await moto.remove()
})

/** Through the proxies, with a client of the test's own for each region. */
function proxied(more: Partial<AwsKmsOptions> = {}): AwsKms {
  return new AwsKms({
    regionMap: arns,
    preferredRegion: 'us-west-2',
    client: (region = 'us-west-2') =>
      new KMSClient({ region, endpoint: `http://127.0.0.1:${proxies[region as Region].port}` }),
    ...more,
  })
}

function direct(more: Partial<AwsKmsOptions> = {}): AwsKms {
  return new AwsKms({ regionMap: arns, preferredRegion: 'us-west-2', endpoint: moto.endpoint, ...more })
}

interface Envelope {
  encryptedKey: string
  kmsKeks: { region: Region; arn: string; encryptedKek: string }[]
}

function envelopeOf(bytes: Uint8Array): Envelope {
  return JSON.parse(Buffer.from(bytes).toString()) as Envelope
}

/** Opens an envelope with nothing of ours: the SDK alone and Node's cipher. */
async function openAlone(sealed: Uint8Array, region: Region): Promise<Buffer> {
  const { encryptedKey, kmsKeks } = envelopeOf(sealed)
  const kek = kmsKeks.find((entry) => entry.region === region)
  assert.ok(kek !== undefined)
  assert.equal(kek.arn, arns[region])
  const client = new KMSClient({ region, endpoint: moto.endpoint })
  const blob = Buffer.from(kek.encryptedKek, 'base64')
  const { Plaintext = new Uint8Array() } = await client.send(new DecryptCommand({ CiphertextBlob: blob }))
  client.destroy()
  const bytes = Buffer.from(encryptedKey, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', Plaintext, bytes.subarray(-12))
  decipher.setAuthTag(bytes.subarray(-28, -12))
  return Buffer.concat([decipher.update(bytes.subarray(0, -28)), decipher.final()])
}

test('a system key sealed in two regions opens in each, here and with the SDK alone', async () => {
  const kms = direct()
  const sealed = await kms.encryptKey(bytes32)
  for (const region of regions) {
    assert.deepEqual(await openAlone(sealed, region), Buffer.from(bytes32))
    const one = direct({ regionMap: { [region]: arns[region] }, preferredRegion: region })
    assert.deepEqual(Buffer.from(await one.decryptKey(sealed)), Buffer.from(bytes32))
    one.close()
  }
  // The same connections again: what overwrites their bytes must not reach the next answer.
  for (let round = 0; round < 20; round += 1) {
    const again = await kms.encryptKey(bytes32)
    assert.deepEqual(Buffer.from(await kms.decryptKey(again)), Buffer.from(bytes32))
  }
  await Promise.all(
    Array.from({ length: 30 }, async () => {
      assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(bytes32))), Buffer.from(bytes32))
    }),
  )
  kms.close()
})

test('the SDK sees zeroes or nothing in place of a data key, whoever made the client', async () => {
  const seen: { input: unknown; output: unknown }[] = []
  const kms = proxied({
    client: (region = '') => {
      const client = new KMSClient({ region, endpoint: moto.endpoint })
      client.middlewareStack.add(
        (next) => async (given) => {
          const answer = await next(given)
          seen.push({ input: structuredClone(given.input), output: structuredClone(answer.output) })
          return answer
        },
        // Inside of what withholds the input, outside of everything that reads the answer.
        { step: 'initialize', priority: 'low' },
      )
      return client
    },
  })
  await kms.decryptKey(await kms.encryptKey(bytes32))
  const plaintexts = seen
    .flatMap(({ input, output }) => [input, output])
    .flatMap((value) => {
      const { Plaintext } = value as { Plaintext?: Uint8Array }
      return Plaintext === undefined ? [] : [Plaintext]
    })
  assert.equal(seen.length, 3)
  assert.deepEqual(plaintexts.map(({ length }) => length).toSorted(), [0, 0, 32])
  for (const plaintext of plaintexts) assert.ok(plaintext.every((byte) => byte === 0))
})

test('an answer that arrives byte by byte, or late, is read whole', async () => {
  const kms = proxied()
  for (const region of regions) proxies[region].set({ kind: 'throttle', bytesPerSecond: 2000 })
  const sealed = await kms.encryptKey(bytes32)
  assert.equal(envelopeOf(sealed).kmsKeks.length, 2)
  proxies['us-west-2'].set({ kind: 'delay', ms: 200, direction: 'to-client' })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
})

test('a preferred region that refuses, resets or swallows is passed over', async () => {
  const kms = proxied({ queryTimeoutMs: 1500 })
  const sealed = await kms.encryptKey(bytes32)
  const west = proxies['us-west-2']
  for (const fault of [
    { kind: 'reset' },
    { kind: 'cut', direction: 'to-client' },
    { kind: 'truncate', direction: 'to-client', afterBytes: 150 },
    { kind: 'black-hole' },
  ] as const) {
    west.set(fault)
    const started = performance.now()
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32), fault.kind)
    const fresh = await kms.encryptKey(bytes32)
    assert.deepEqual(
      envelopeOf(fresh).kmsKeks.map(({ region }) => region),
      ['us-east-1'],
      fault.kind,
    )
    assert.ok(performance.now() - started < 8000, fault.kind)
    west.set({ kind: 'pass' })
    west.resetAll()
    // The region that was left out is one that cannot open it.
    await assert.rejects(
      direct({ regionMap: { 'us-west-2': arns['us-west-2'] } }).decryptKey(fresh),
      /sealed by AWS KMS in 'us-east-1', and the configured regions are 'us-west-2'/,
    )
  }
  assert.equal(envelopeOf(await kms.encryptKey(bytes32)).kmsKeks.length, 2)
})

test('a lost answer is asked for again by the SDK', async () => {
  const kms = proxied()
  const sealed = await kms.encryptKey(bytes32)
  proxies['us-west-2'].set({ kind: 'cut', direction: 'to-client', times: 1 })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  assert.equal(proxies['us-west-2'].struck, 1)
})

test('when every region is out it is ERR_KMS or ERR_TIMEOUT within the limit, and works again afterwards', async () => {
  const kms = proxied({ queryTimeoutMs: 700 })
  const sealed = await kms.encryptKey(bytes32)
  for (const region of regions) proxies[region].set({ kind: 'black-hole' })
  const started = performance.now()
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_TIMEOUT')
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_TIMEOUT')
  assert.ok(performance.now() - started < 6000)
  for (const region of regions) proxies[region].set({ kind: 'reset' })
  // The SDK's own pauses between its attempts are longer than that limit.
  assert.equal(await codeOf(() => proxied().decryptKey(sealed)), 'ERR_KMS')
  for (const region of regions) proxies[region].set({ kind: 'pass' })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
})

test("another key than the configured one is refused, as is a key of one's own that is not there", async () => {
  const sealed = await direct().encryptKey(bytes32)
  const other = await createKmsKey(moto.endpoint, 'us-west-2')
  await assert.rejects(
    direct({ regionMap: { 'us-west-2': `${arns['us-west-2'].slice(0, -36)}${'0'.repeat(36)}` } }).encryptKey(
      bytes32,
    ),
    (error: unknown) => {
      assert.ok(error instanceof AsherahError)
      assert.equal(error.code, 'ERR_KMS')
      assert.match(error.message, /'us-west-2': NotFoundException/)
      assert.doesNotMatch(error.message, /test\b.*secret/i)
      return true
    },
  )
  assert.notEqual(other, arns['us-west-2'])
  const wrong = { regionMap: { 'us-west-2': arns['us-east-1'] } }
  assert.equal(await codeOf(() => direct(wrong).decryptKey(sealed)), 'ERR_KMS')
})

test('a single key takes its region from the environment, and AWS_ENDPOINT_URL is obeyed', async () => {
  Object.assign(process.env, { AWS_REGION: 'us-east-1', AWS_ENDPOINT_URL: moto.endpoint })
  try {
    const kms = await AwsKms.open({ kmsKeyId: arns['us-east-1'] })
    const sealed = await kms.encryptKey(bytes32)
    assert.deepEqual(
      envelopeOf(sealed).kmsKeks.map(({ region, arn }) => [region, arn]),
      [['us-east-1', arns['us-east-1']]],
    )
    assert.deepEqual(await openAlone(sealed, 'us-east-1'), Buffer.from(bytes32))
    kms.close()
    assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_CLOSED')
  } finally {
    delete process.env['AWS_REGION']
    delete process.env['AWS_ENDPOINT_URL']
  }
})
