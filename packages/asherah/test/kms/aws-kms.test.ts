import assert from 'node:assert/strict'
import { createDecipheriv } from 'node:crypto'
import { test } from 'node:test'
import { drive } from '../../src/engine/work.ts'
import { AsherahError } from '../../src/errors.ts'
import { AwsKms, type AwsKmsOptions } from '../../src/kms/aws-kms.ts'
import { byHandle } from '../../src/kms/handle-kms.ts'
import type { KeyHandle } from '../../src/native/binding.ts'
import { checked } from '../../src/native/checked.ts'
import { loadNative } from '../../src/native/load.ts'
import { installLogHook, type LogEvent } from '../../src/observability/log.ts'
import { codeOf } from '../support/world.ts'
import { FakeKms, serviceError } from './fake-kms.ts'

const native = loadNative()
checked(native.memoryPrepare(16, false))
const bytes32 = Uint8Array.from({ length: 32 }, (_, index) => 200 - index)

function kmsOver(regions: readonly FakeKms[], more: Partial<AwsKmsOptions> = {}): AwsKms {
  const byName = new Map(regions.map((region) => [region.region, region]))
  return new AwsKms({
    regionMap: Object.fromEntries(regions.map(({ region, arn }) => [region, arn])),
    ...(regions[0] !== undefined && { preferredRegion: regions[0].region }),
    client: (region = '') => {
      const found = byName.get(region)
      assert.ok(found !== undefined, region)
      return found.client
    },
    ...more,
  })
}

interface Envelope {
  encryptedKey: string
  kmsKeks: { region: string; arn: string; encryptedKek: string }[]
}

function envelopeOf(bytes: Uint8Array): Envelope {
  return JSON.parse(Buffer.from(bytes).toString()) as Envelope
}

function bytesOf(envelope: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(envelope))
}

async function threeRegions() {
  const [west, east, north] = [new FakeKms('us-west-2'), new FakeKms('us-east-1'), new FakeKms('eu-north-1')]
  return { west, east, north, all: [west, east, north] as const }
}

// Contract section 13.
const synthetic =
  '{"encryptedKey":"gPZExePgPKa7tjB9vjdVQAqALKfWOgTpIy7K/i2TtuPpab9Uwc0Wkp4yKZJ42Z7mAAECAwQFBgcICQoL","kmsKeks":[{"region":"us-west-2","arn":"arn:aws:kms:us-west-2:111122223333:key/west","encryptedKek":"a2VrLXdlc3Q="},{"region":"us-east-1","arn":"arn:aws:kms:us-east-1:111122223333:key/east","encryptedKek":"a2VrLWVhc3Q="}]}'
const syntheticKey = 'c7f492de2605febd36f7a7f60fde2d2d8956ab9326415b951b492f7b30fab651'
const syntheticDataKey = Uint8Array.from({ length: 32 }, (_, index) => index)

test("the contract's synthetic envelope opens, in each region", async () => {
  for (const [region, blob] of [
    ['us-west-2', 'kek-west'],
    ['us-east-1', 'kek-east'],
  ] as const) {
    const fake = new FakeKms(region, { fixed: new Map([[blob, syntheticDataKey]]) })
    const key = await kmsOver([fake]).decryptKey(Buffer.from(synthetic))
    assert.equal(Buffer.from(key).toString('hex'), syntheticKey)
    assert.deepEqual(fake.calls, [`Decrypt ${fake.arn}`])
  }
})

test('an envelope has the members of the contract in its order, and every region opens it', async () => {
  const { all } = await threeRegions()
  const sealed = await kmsOver(all).encryptKey(bytes32)
  const text = Buffer.from(sealed).toString()
  const entry = (region: string) =>
    `\\{"region":"${region}","arn":"arn:aws:kms:${region}:111122223333:key/${region}","encryptedKek":"[A-Za-z0-9+/]+=*"\\}`
  assert.match(
    text,
    new RegExp(
      `^\\{"encryptedKey":"[A-Za-z0-9+/]{80}","kmsKeks":\\[${['us-west-2', 'us-east-1', 'eu-north-1'].map(entry).join(',')}\\]\\}$`,
    ),
  )
  for (const region of all)
    assert.deepEqual(Buffer.from(await kmsOver([region]).decryptKey(sealed)), Buffer.from(bytes32))
})

test('encryptedKey is the system key under the data key, nonce last', async () => {
  const west = new FakeKms('us-west-2')
  let dataKey: Buffer | undefined
  const client = west.client
  const kms = kmsOver([west], {
    client: () =>
      Object.assign(Object.create(client) as typeof client, {
        send: async (command: never, options: never) => {
          const output = (await client.send(command, options)) as { Plaintext: Uint8Array }
          dataKey = Buffer.from(output.Plaintext)
          return output
        },
      }),
  })
  const sealed = Buffer.from(envelopeOf(await kms.encryptKey(bytes32)).encryptedKey, 'base64')
  assert.equal(sealed.length, 60)
  assert.ok(dataKey !== undefined)
  const decipher = createDecipheriv('aes-256-gcm', dataKey, sealed.subarray(48))
  decipher.setAuthTag(sealed.subarray(32, 48))
  assert.deepEqual(
    Buffer.concat([decipher.update(sealed.subarray(0, 32)), decipher.final()]),
    Buffer.from(bytes32),
  )
})

test('one GenerateDataKey in the preferred region, one Encrypt in each other; one Decrypt to open', async () => {
  const { west, east, north, all } = await threeRegions()
  const kms = kmsOver(all, { preferredRegion: 'us-east-1' })
  const sealed = await kms.encryptKey(bytes32)
  assert.deepEqual(east.calls, [`GenerateDataKey ${east.arn}`])
  assert.deepEqual(west.calls, [`Encrypt ${west.arn}`])
  assert.deepEqual(north.calls, [`Encrypt ${north.arn}`])
  await kms.decryptKey(sealed)
  assert.deepEqual(east.calls.slice(1), [`Decrypt ${east.arn}`])
  assert.equal(west.calls.length + north.calls.length, 2)
})

test('a preferred region that is out is passed over, for sealing and for opening', async () => {
  const { west, east, north, all } = await threeRegions()
  const kms = kmsOver(all)
  west.failure = serviceError('KMSInternalException')
  const sealed = await kms.encryptKey(bytes32)
  assert.deepEqual(
    envelopeOf(sealed).kmsKeks.map(({ region }) => region),
    ['us-east-1', 'eu-north-1'],
  )
  assert.deepEqual(west.calls, [`GenerateDataKey ${west.arn}`, `Encrypt ${west.arn}`])
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  assert.deepEqual(east.calls, [`GenerateDataKey ${east.arn}`, `Decrypt ${east.arn}`])

  const whole = await (async () => {
    west.failure = undefined
    return kms.encryptKey(bytes32)
  })()
  west.failure = serviceError('AccessDeniedException')
  east.failure = serviceError('DisabledException')
  assert.deepEqual(Buffer.from(await kms.decryptKey(whole)), Buffer.from(bytes32))
  assert.equal(north.calls.at(-1), `Decrypt ${north.arn}`)
})

test('a secondary region that fails is left out, with a warning that names it', async () => {
  const { west, east, north, all } = await threeRegions()
  const events: LogEvent[] = []
  installLogHook((event) => events.push(event))
  try {
    east.failure = serviceError('ThrottlingException')
    const sealed = await kmsOver(all).encryptKey(bytes32)
    assert.deepEqual(
      envelopeOf(sealed).kmsKeks.map(({ region }) => region),
      ['us-west-2', 'eu-north-1'],
    )
    for (const region of [west, north]) await kmsOver([region]).decryptKey(sealed)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const warning = events.find(
      ({ message }) => message.includes("'us-east-1'") && message.includes('did not seal'),
    )
    assert.equal(warning?.level, 'warn')
    assert.match(warning.message, /ThrottlingException$|: Error$/)
  } finally {
    installLogHook(undefined)
  }
})

test('when every region fails the error names each with its reason', async () => {
  const { west, east, all } = await threeRegions()
  const kms = kmsOver(all)
  const sealed = await kms.encryptKey(bytes32)
  for (const fake of all) fake.failure = serviceError('KMSInternalException')
  east.failure = serviceError('IncorrectKeyException')
  for (const call of [() => kms.encryptKey(bytes32), () => kms.decryptKey(sealed)]) {
    await assert.rejects(call, (error: unknown) => {
      assert.ok(error instanceof AsherahError)
      assert.equal(error.code, 'ERR_KMS')
      assert.match(error.message, /'us-west-2': KMSInternalException; 'us-east-1': IncorrectKeyException/)
      assert.match(error.message, /configured key is not the one/)
      assert.ok(error.cause instanceof AggregateError && error.cause.errors.includes(west.failure))
      return true
    })
  }
})

test('entries are found by the exact region name, never by their place', async () => {
  const { west, east } = await threeRegions()
  const sealed = envelopeOf(await kmsOver([west, east]).encryptKey(bytes32))
  const turned = { ...sealed, kmsKeks: sealed.kmsKeks.toReversed() }
  assert.deepEqual(Buffer.from(await kmsOver([west, east]).decryptKey(bytesOf(turned))), Buffer.from(bytes32))

  const upper = {
    ...sealed,
    kmsKeks: sealed.kmsKeks.map((kek) => ({ ...kek, region: kek.region.toUpperCase() })),
  }
  await assert.rejects(
    kmsOver([west]).decryptKey(bytesOf(upper)),
    /'US-WEST-2', 'US-EAST-1', and the configured/,
  )
  const swapped = {
    ...sealed,
    kmsKeks: sealed.kmsKeks.map((kek, index) => ({ ...kek, region: sealed.kmsKeks.at(index - 1)?.region })),
  }
  assert.equal(await codeOf(() => kmsOver([west, east]).decryptKey(bytesOf(swapped))), 'ERR_KMS')
})

test('a region added later is used for new system keys, and old ones stay readable', async () => {
  const { west, east } = await threeRegions()
  const old = await kmsOver([west]).encryptKey(bytes32)
  const both = kmsOver([west, east], { preferredRegion: 'us-east-1' })
  assert.deepEqual(Buffer.from(await both.decryptKey(old)), Buffer.from(bytes32))
  assert.deepEqual(east.calls, [])
  const fresh = await both.encryptKey(bytes32)
  assert.deepEqual(Buffer.from(await kmsOver([east]).decryptKey(fresh)), Buffer.from(bytes32))
  // And a region removed later does not matter while another one is left.
  assert.deepEqual(Buffer.from(await kmsOver([west]).decryptKey(fresh)), Buffer.from(bytes32))
})

test("a data key that does not open the system key leads to the next region's", async () => {
  const { west, east } = await threeRegions()
  const one = envelopeOf(await kmsOver([west, east]).encryptKey(bytes32))
  const other = envelopeOf(await kmsOver([west, east]).encryptKey(bytes32))
  const mixed = { ...one, kmsKeks: [other.kmsKeks[0], one.kmsKeks[1]] }
  assert.deepEqual(Buffer.from(await kmsOver([west, east]).decryptKey(bytesOf(mixed))), Buffer.from(bytes32))
  assert.deepEqual([west.calls.at(-1), east.calls.at(-1)], [`Decrypt ${west.arn}`, `Decrypt ${east.arn}`])
})

test('unknown members, white space, escapes and useless entries do not matter', async () => {
  const { west } = await threeRegions()
  const kms = kmsOver([west])
  const { encryptedKey, kmsKeks } = envelopeOf(await kms.encryptKey(bytes32))
  const [kek] = kmsKeks
  const variants = [
    JSON.stringify({ kmsKeks, encryptedKey, extra: [{}] }, undefined, 2),
    JSON.stringify({ encryptedKey, kmsKeks: [{ x: 1, ...kek }] }).replaceAll('/', '\\/'),
    JSON.stringify({
      encryptedKey,
      kmsKeks: [null, 7, [], {}, { region: 'us-west-2' }, { ...kek, encryptedKek: '!' }, kek],
    }),
    JSON.stringify({
      encryptedKey,
      kmsKeks: [{ region: kek?.region, encryptedKek: kek?.encryptedKek, arn: null }],
    }),
  ]
  for (const text of variants) {
    assert.deepEqual(Buffer.from(await kms.decryptKey(Buffer.from(text))), Buffer.from(bytes32), text)
  }
})

test('what is no envelope is a typed error that quotes nothing of it, and no call is made', async () => {
  const west = new FakeKms('us-west-2')
  const kms = kmsOver([west])
  const key = Buffer.alloc(60, 'QUOTED').toString('base64')
  for (const text of [
    '',
    'vault:v1:QUOTED',
    'QUOTED',
    '"QUOTED"',
    '[]',
    'null',
    `{"encryptedKey":"${key}"}`,
    `{"encryptedKey":"${key}","kmsKeks":{}}`,
    `{"encryptedKey":"${key}=","kmsKeks":[]}`,
    `{"encryptedKey":"${key.slice(4)}","kmsKeks":[]}`,
    '{"kmsKeks":[]}',
    `{"encryptedKey":"${key}","kmsKeks":[]}`,
    '{"encryptedKey":"QUOTED',
  ]) {
    await assert.rejects(kms.decryptKey(Buffer.from(text)), (error: unknown) => {
      assert.ok(error instanceof AsherahError)
      assert.equal(error.code, 'ERR_KMS')
      assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /QUOTED|position|Unexpected/)
      return true
    })
  }
  assert.equal(await codeOf(() => kms.decryptKey(Uint8Array.of(0xff, 0xfe))), 'ERR_KMS')
  assert.deepEqual(west.calls, [])
})

test("an answer with a wrong data key is the region's failure", async () => {
  const [short, east] = [
    new FakeKms('us-west-2', { fixed: new Map([['x', new Uint8Array(31)]]) }),
    new FakeKms('us-east-1'),
  ]
  const sealed = envelopeOf(await kmsOver([short, east]).encryptKey(bytes32))
  const broken = { ...sealed, kmsKeks: [{ ...sealed.kmsKeks[0], encryptedKek: 'eA==' }, sealed.kmsKeks[1]] }
  assert.deepEqual(
    Buffer.from(await kmsOver([short, east]).decryptKey(bytesOf(broken))),
    Buffer.from(bytes32),
  )
})

test('every plaintext that a client saw is overwritten when the call is over, also after a failure', async () => {
  const { west, east, all } = await threeRegions()
  const kms = kmsOver(all)
  const sealed = await kms.encryptKey(bytes32)
  await kms.decryptKey(sealed)
  const mixed = {
    ...envelopeOf(await kms.encryptKey(bytes32)),
    encryptedKey: envelopeOf(sealed).encryptedKey,
  }
  assert.equal(await codeOf(() => kms.decryptKey(bytesOf(mixed))), 'ERR_KMS')
  east.failure = serviceError('AccessDeniedException')
  await kms.encryptKey(bytes32)
  const lent = all.flatMap((fake) => fake.lent)
  assert.ok(lent.length >= 9, String(lent.length))
  for (const bytes of lent) assert.ok(bytes.every((byte) => byte === 0))
  assert.ok(west.lent.length > 0)
  assert.equal(bytes32[0], 200, "the caller's own key is left alone")
})

test('the handle of every data key is released', async () => {
  const { west, east, all } = await threeRegions()
  const kms = kmsOver(all)
  const releases: number[] = []
  const made: number[] = []
  const watched = Object.create(native, {
    keyImport: {
      value: (bytes: Uint8Array) => {
        const handle = native.keyImport(bytes)
        made.push(handle)
        return handle
      },
    },
    keyUnwrap: { value: native.keyUnwrap.bind(native) },
    keyRelease: {
      value: (key: KeyHandle) => {
        releases.push(key)
        return native.keyRelease(key)
      },
    },
  }) as typeof native
  const wrapper = kms[byHandle](watched)
  const key = checked(native.keyGenerate()) as KeyHandle
  const sealed = await drive(wrapper.wrap(key))
  const opened = await drive(wrapper.unwrap(sealed))
  east.failure = serviceError('AccessDeniedException')
  west.failure = serviceError('AccessDeniedException')
  native.keyRelease(await drive(wrapper.unwrap(sealed)))
  assert.deepEqual(releases, made)
  assert.equal(made.length, 3)
  for (const handle of [key, opened]) native.keyRelease(handle)
})

test('a region that does not answer is given up after the limit', async () => {
  const { west, east } = await threeRegions()
  const kms = kmsOver([west, east], { queryTimeoutMs: 60 })
  const sealed = await kms.encryptKey(bytes32)
  west.silent = true
  const started = performance.now()
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  assert.ok(performance.now() - started < 2000)
  // Sealing does not wait for it twice.
  const { kmsKeks } = envelopeOf(await kms.encryptKey(bytes32))
  assert.deepEqual(
    kmsKeks.map(({ region }) => region),
    ['us-east-1'],
  )
  assert.equal(west.calls.at(-1), `GenerateDataKey ${west.arn}`)
  east.silent = true
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_TIMEOUT')
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_TIMEOUT')
})

test('with a single key the region is the one that the SDK finds', async () => {
  const west = new FakeKms('us-west-2')
  const kms = new AwsKms({ kmsKeyId: 'alias/asherah', client: () => west.client })
  const sealed = await kms.encryptKey(bytes32)
  assert.deepEqual(
    envelopeOf(sealed).kmsKeks.map(({ region, arn }) => [region, arn]),
    [['us-west-2', west.arn]],
  )
  await kms.decryptKey(sealed)
  assert.deepEqual(west.calls, ['GenerateDataKey alias/asherah', 'Decrypt alias/asherah'])
  // The same envelope, read by way of a region map.
  assert.deepEqual(Buffer.from(await kmsOver([west]).decryptKey(sealed)), Buffer.from(bytes32))
})

test('without any region a single key is a configuration error, and a later try may succeed', async () => {
  let region = ''
  const west = new FakeKms('us-west-2')
  const client = Object.assign(Object.create(west.client), {
    config: { region: async () => region },
  }) as typeof west.client
  const kms = new AwsKms({ kmsKeyId: 'alias/asherah', client: () => client })
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_CONFIG_INVALID')
  region = 'us-west-2'
  await kms.encryptKey(bytes32)
})

test('options that do not fit are refused with what is wrong', async () => {
  const arn = 'arn:aws:kms:us-west-2:111122223333:key/1'
  const cases: (readonly [AwsKmsOptions, RegExp])[] = [
    [{}, /give regionMap/],
    [{ kmsKeyId: '' }, /give regionMap/],
    [{ regionMap: {} }, /is empty/],
    [{ regionMap: { '': arn } }, /empty region name/],
    [{ regionMap: { 'us-west-2': '' } }, /no ARN for 'us-west-2'/],
    [{ regionMap: { 'us-west-2': arn, 'us-east-1': arn } }, /preferredRegion is required/],
    [{ regionMap: { 'us-west-2': arn }, preferredRegion: 'us-east-1' }, /is no region of regionMap/],
    [{ regionMap: { 'us-west-2': arn }, preferredRegion: 'US-WEST-2' }, /is no region of regionMap/],
  ]
  for (const [options, problem] of cases) {
    assert.throws(
      () => new AwsKms(options),
      (error: unknown) =>
        error instanceof AsherahError && error.code === 'ERR_CONFIG_INVALID' && problem.test(error.message),
    )
    assert.equal(await codeOf(() => AwsKms.open(options)), 'ERR_CONFIG_INVALID')
  }
})

test("clients of the user's own are never destroyed, and after close every call is refused", async () => {
  const { west, east } = await threeRegions()
  const kms = kmsOver([west, east])
  const sealed = await kms.encryptKey(bytes32)
  kms.close()
  kms.close()
  assert.equal(west.destroyed || east.destroyed, false)
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_CLOSED')
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_CLOSED')
})
