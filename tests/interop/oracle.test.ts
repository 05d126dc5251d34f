import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { loadCases } from '../support/fixtures.ts'
import {
  assertExactKeyRow,
  assertExactRecord,
  createKeys,
  decryptRecord,
  encryptRecord,
  explainRecord,
  jsonStyles,
  type OracleRow,
  openAwsEnvelope,
  readAwsEnvelope,
  seal,
  unseal,
} from '../support/oracle.ts'

const testKeyHex = Buffer.from('thisIsAStaticMasterKeyForTesting').toString('hex')
const base = 1_795_315_800

describe('the oracle decrypts every record of the other implementations', () => {
  const cases = loadCases()
  test('the fixtures are all there', () => {
    assert.equal(cases.length, 28)
    assert.equal(cases.filter((item) => item.metastore === 'dynamodb').length, 6)
    assert.equal(cases.filter((item) => item.regionSuffix !== undefined).length, 2)
    assert.equal(new Set(cases.map((item) => item.name)).size, cases.length)
  })
  for (const item of cases) {
    test(`${item.name} (${item.writer})`, () => {
      assert.deepEqual(decryptRecord(item.masterKeyHex, item.rows, item.record), item.plaintext)
      const tail = item.regionSuffix === undefined ? '' : `_${item.regionSuffix}`
      const ids = item.rows.map((row) => row.id)
      assert.ok(ids.includes(`_IK_${item.partition}_${item.service}_${item.product}${tail}`))
      assert.ok(ids.includes(`_SK_${item.service}_${item.product}${tail}`))
    })
  }
})

// Contract section 13.
const vectorRows: readonly OracleRow[] = [
  {
    id: '_SK_api_catalog',
    created: base,
    keyRecord:
      '{"Created":1795315800,"Key":"MJvhiKhPjIoGVFbapy6zMduluJI+dtbKFJ8G0UUTwv2r169stgEaGFVdIrz8I58cdx2DjwjGdjjzlSWD"}',
  },
  {
    id: '_IK_tenant-42_api_catalog',
    created: base,
    keyRecord:
      '{"Created":1795315800,"Key":"y6biLP6xtfCqiRNmvrD1XODXa2+c38VrfgjUz0MXizcsBRr1TS8hTeiykcBlBTNA+U7/etbLprtvFnaB","ParentKeyMeta":{"KeyId":"_SK_api_catalog","Created":1795315800}}',
  },
  {
    id: '_SK_api_catalog_us-west-2',
    created: base,
    keyRecord:
      '{"Created":1795315800,"Key":"TVbtJI6PtXM71gE+hdWOcYEtTiseX/8V7Pk3GRoYUg1DOtBLZKdx7LfnWEijNnqjaJCXUvjn90kfw+/E"}',
  },
  {
    id: '_IK_tenant-42_api_catalog_us-west-2',
    created: base,
    keyRecord:
      '{"Created":1795315800,"Key":"E5EPbPjNpJfUyR/KxDWyTEPsBWOu3y8UVylolUooPMIT2X3yXNsgTUKfSS6IqtMOXDMWfvmIVMw+WnP2","ParentKeyMeta":{"KeyId":"_SK_api_catalog_us-west-2","Created":1795315800}}',
  },
]

const vectors = [
  {
    plaintext: 'mySuperSecretPayload',
    record:
      '{"Key":{"Created":1795315836,"Key":"NgN+YnaGKUZMl/aMW/hedIGfxNhBFcsdmw1acYfzp0pG80XVDgiQfazc3XtaAtqOEeEPRI9tSa3GmqOK","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog","Created":1795315800}},"Data":"Yhe2KH1UNSb6wWw2B3CTJxxACOsqTDPffKsMU7qD38tdMWF+4HjvXApGy3AYvhp/"}',
    system: 'c7f492de2605febd36f7a7f60fde2d2d8956ab9326415b951b492f7b30fab651',
    intermediate: '89138ed2e7a68fefcdba21017b1eff025e31ef5f6eb306d21f623e0979c189ad',
    dataRow: '708c240d1e3f1ba8e85b3f60879727ba389ee2515cda0cfa5c84beb403008d8d',
  },
  {
    plaintext: '',
    record:
      '{"Key":{"Created":1795315836,"Key":"5wyic4bbwnmQ2Zog2tGkB8iLPriB+Z7MXd7JCBmhn/hd+MdwuWmHVdRsRGt15AH2E0RuNHSghw9KVLs0","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog","Created":1795315800}},"Data":"q/TPXqratFtjlPGCScAsLM/X+B4LYkwXuNZ3DA=="}',
    system: 'c7f492de2605febd36f7a7f60fde2d2d8956ab9326415b951b492f7b30fab651',
    intermediate: '89138ed2e7a68fefcdba21017b1eff025e31ef5f6eb306d21f623e0979c189ad',
    dataRow: 'c72d962411d405fb734e7990100825a263c574efd587be173e19dae7abe03504',
  },
  {
    plaintext: 'héllo',
    record:
      '{"Key":{"Created":1795315836,"Key":"c8FF0S6TK1yar9gdwxOHA8FUPhKP1MwRzzQHVf5Zy+zSi9lBCTQs8AH5JfH/2QFLx49X5o5jwVe9sI5w","ParentKeyMeta":{"KeyId":"_IK_tenant-42_api_catalog_us-west-2","Created":1795315800}},"Data":"UEGjfFew57usWxRs47+BvrAxO/hXEjouDzSaU7c+HbDamQ=="}',
    system: '8b069b00612346f6617c37f62ee041bf2dcfea35d47c00ba9bf15d0188f2c3e6',
    intermediate: '04b18bd236ed92df8d2808534d9396fcc48cfdb0971bf1cb9f798e2273eab54e',
    dataRow: 'e30d9684bbc820c3fe94400e6166593826427fd021c8045f74719861147088a1',
  },
]

describe("the contract's vectors", () => {
  for (const { plaintext, record, system, intermediate, dataRow } of vectors) {
    test(`record of ${JSON.stringify(plaintext)}, with every key on the way`, () => {
      const answer = explainRecord(testKeyHex, vectorRows, record)
      assert.equal(answer.plaintext.toString(), plaintext)
      assert.equal(answer.systemKey.toString('hex'), system)
      assert.equal(answer.intermediateKey.toString('hex'), intermediate)
      assert.equal(answer.dataRowKey.toString('hex'), dataRow)
      assertExactRecord(record)
    })
  }

  test('key rows have the exact shape', () => {
    for (const row of vectorRows) assertExactKeyRow(row)
  })

  const awsEnvelope =
    '{"encryptedKey":"gPZExePgPKa7tjB9vjdVQAqALKfWOgTpIy7K/i2TtuPpab9Uwc0Wkp4yKZJ42Z7mAAECAwQFBgcICQoL","kmsKeks":[{"region":"us-west-2","arn":"arn:aws:kms:us-west-2:111122223333:key/west","encryptedKek":"a2VrLXdlc3Q="},{"region":"us-east-1","arn":"arn:aws:kms:us-east-1:111122223333:key/east","encryptedKek":"a2VrLWVhc3Q="}]}'
  const dataKey = Buffer.from(Array.from({ length: 32 }, (_, index) => index))
  const systemKey = Buffer.from(vectors[0]?.system ?? '', 'hex')

  test('the AWS envelope', () => {
    assert.deepEqual(openAwsEnvelope(awsEnvelope, dataKey), systemKey)
    const { encryptedKey, kmsKeks } = readAwsEnvelope(awsEnvelope)
    assert.deepEqual(seal(systemKey, dataKey, dataKey.subarray(0, 12)), encryptedKey)
    assert.deepEqual([...kmsKeks.keys()], ['us-west-2', 'us-east-1'])
    assert.equal(kmsKeks.get('us-west-2')?.encryptedKek.toString(), 'kek-west')
    assert.equal(kmsKeks.get('us-east-1')?.encryptedKek.toString(), 'kek-east')
    assert.equal(kmsKeks.get('us-east-1')?.arn, 'arn:aws:kms:us-east-1:111122223333:key/east')
    assert.throws(() => openAwsEnvelope(awsEnvelope, dataKey.toReversed()))
    assert.throws(() => readAwsEnvelope(awsEnvelope.replace('us-east-1', 'us-west-2')), /occurs once/)
  })

  test('a record whose system key is in an AWS envelope', () => {
    const rows = vectorRows.map((row) =>
      row.id === '_SK_api_catalog'
        ? { ...row, keyRecord: `{"Created":${base},"Key":"${Buffer.from(awsEnvelope).toString('base64')}"}` }
        : row,
    )
    const kms = (wrapped: Buffer): Buffer => openAwsEnvelope(wrapped.toString(), dataKey)
    assert.equal(decryptRecord(kms, rows, vectors[0]?.record ?? '').toString(), 'mySuperSecretPayload')
  })

  for (const [key, nonce, plaintext, sealed] of [
    [
      'b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4',
      '516c33929df5a3284ff463d7',
      '',
      'bdc1ac884d332457a1d2664f168c76f0',
    ],
    [
      '31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22',
      '0d18e06c7c725ac9e362e1ce',
      '2db5168e932556f8089a0622981d017d',
      'fa4362189661d163fcd6a56d8bf0405ad636ac1bbedd5cc3ee727dc2ab4a9489',
    ],
  ] as const) {
    test(`NIST AES-256-GCM, ${plaintext.length / 2} bytes`, () => {
      const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex')
      assert.equal(seal(bytes(plaintext), bytes(key), bytes(nonce)).toString('hex'), sealed + nonce)
      assert.equal(unseal(bytes(sealed + nonce), bytes(key)).toString('hex'), plaintext)
    })
  }
})

describe('what the oracle writes, it reads', () => {
  const partitions = [
    'tenant-42',
    'a<b>&"c"\\d/e',
    'ключ-用户-🔑',
    '\u2028\u2029\u0001\u007f',
    `p'+\`${'p'.repeat(180)}`,
  ]
  for (const style of jsonStyles) {
    for (const suffix of ['', 'us-west-2']) {
      test(`style ${style}, suffix ${JSON.stringify(suffix)}`, () => {
        for (const partition of partitions) {
          for (const revoked of [false, true]) {
            const keys = createKeys({
              master: testKeyHex,
              service: 'service',
              product: 'product',
              partition,
              suffix,
              systemCreated: base,
              intermediateCreated: base + 60,
              systemRevoked: revoked,
              intermediateRevoked: revoked,
              style,
            })
            const plaintext = Buffer.from(`payload of ${partition}`)
            const record = encryptRecord(keys, plaintext, { created: base + 61, style })
            const answer = explainRecord(testKeyHex, keys.rows, record)
            assert.deepEqual(answer.plaintext, plaintext)
            assert.deepEqual(answer.intermediateKey, keys.intermediateKey)
            assert.deepEqual(answer.systemKey, keys.systemKey)
            assert.equal(JSON.parse(record).Key.ParentKeyMeta.KeyId, keys.intermediateKeyId)
            for (const row of keys.rows) assert.equal(JSON.parse(row.keyRecord).Revoked === true, revoked)
            if (style !== 'rust') continue
            assertExactRecord(record)
            for (const row of keys.rows) assertExactKeyRow(row)
          }
        }
      })
    }
  }

  test('the styles differ where they should', () => {
    const text = (style: (typeof jsonStyles)[number]): string => {
      const keys = createKeys({
        master: testKeyHex,
        service: 's',
        product: 'p',
        partition: 'é<"',
        systemCreated: base,
        intermediateCreated: base,
        style,
      })
      return (
        encryptRecord(keys, Buffer.of(1), { created: base, style }) +
        keys.rows.map((row) => row.keyRecord).join('')
      )
    }
    assert.match(
      text('rust'),
      /^\{"Key":\{"Created":\d+,"Key":"[^"]{80}","ParentKeyMeta":\{"KeyId":"_IK_é<\\"_s_p"/,
    )
    assert.match(text('go'), /"_IK_é\\u003c\\"_s_p"/)
    assert.match(text('python'), /"KeyId": "_IK_\\u00e9<\\"_s_p", "Created": /)
    assert.match(text('csharp'), /^\{"Data":.*"KeyId":"_IK_\\u00e9\\u003c\\u0022_s_p".*"Revoked":false\}$/)
    assert.match(text('java'), /"Revoked":false/)
    assert.match(text('mysql'), /\{"Key": "[^"]+", "Created": /)
  })

  test('a second intermediate key goes under the first system key', () => {
    const options = { master: testKeyHex, service: 's', product: 'p', systemCreated: base }
    const first = createKeys({ ...options, partition: 'a', intermediateCreated: base })
    const second = createKeys({ ...options, partition: 'b', intermediateCreated: base + 60, under: first })
    assert.equal(second.rows[1], first.rows[1])
    const record = encryptRecord(second, Buffer.from('x'), { created: base })
    assert.equal(decryptRecord(testKeyHex, [second.rows[0], first.rows[1]], record).toString(), 'x')
  })
})

describe('the oracle refuses what was tampered with', () => {
  const [vector] = vectors
  assert.ok(vector !== undefined)
  const flip = (base64: string, at: number): string => {
    const bytes = Buffer.from(base64, 'base64')
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    return bytes.toString('base64')
  }
  /** Every change of one bit in the base64 string that `member` holds, in a JSON text. */
  const flips = (text: string, member: RegExp): string[] => {
    const base64 = member.exec(text)?.[1] ?? assert.fail('the member is there')
    const length = Buffer.from(base64, 'base64').length
    return Array.from({ length }, (_, at) => text.replace(base64, flip(base64, at)))
  }

  test('any bit of Data, of the data row key, of the intermediate key, of the system key', () => {
    const changed = [...flips(vector.record, /"Data":"([^"]+)"/), ...flips(vector.record, /"Key":"([^"]+)"/)]
    assert.equal(changed.length, 48 + 60)
    for (const record of changed) {
      assert.throws(() => decryptRecord(testKeyHex, vectorRows, record), /unable to authenticate/)
    }
    for (const row of vectorRows.slice(0, 2)) {
      for (const keyRecord of flips(row.keyRecord, /"Key":"([^"]+)"/)) {
        const rows = vectorRows.map((other) => (other === row ? { ...row, keyRecord } : other))
        assert.throws(() => decryptRecord(testKeyHex, rows, vector.record), /unable to authenticate/)
      }
    }
  })

  test('another master key, another parent, a missing row, another time', () => {
    assert.throws(() => decryptRecord('00'.repeat(32), vectorRows, vector.record), /unable to authenticate/)
    const foreign = vector.record.replace('_IK_tenant-42_api_catalog', '_IK_tenant-42_api_catalog_us-west-2')
    assert.throws(() => decryptRecord(testKeyHex, vectorRows, foreign), /unable to authenticate/)
    for (const id of ['_SK_api_catalog', '_IK_tenant-42_api_catalog']) {
      const rows = vectorRows.filter((row) => row.id !== id)
      assert.throws(() => decryptRecord(testKeyHex, rows, vector.record), /there is a row/)
    }
    const later = vectorRows.map((row) => ({ ...row, created: base + 60 }))
    assert.throws(() => decryptRecord(testKeyHex, later, vector.record), /there is a row/)
    const relabelled = vectorRows.map((row) => ({ ...row, keyRecord: row.keyRecord.replace('5800', '5860') }))
    assert.throws(() => decryptRecord(testKeyHex, relabelled, vector.record))
  })

  test('a shape that is not exact', () => {
    const { record } = vector
    for (const text of [
      record.replace('{"Key"', '{ "Key"'),
      record.replace('"Created":1795315836', '"Revoked":false,"Created":1795315836'),
      record.replace('"_IK_', '"\\u005fIK_'),
      record.replace(/"Data":"[^"]+"/, '$&,"More":1'),
      record.replace('1795315836', '1795315836.0'),
    ]) {
      assert.notEqual(text, record)
      assert.throws(() => assertExactRecord(text))
    }
    const [row] = vectorRows
    assert.ok(row !== undefined)
    for (const keyRecord of [
      row.keyRecord.replace('}', ',"ParentKeyMeta":null}'),
      row.keyRecord.replace('{', '{"Revoked":false,'),
      row.keyRecord.replace('/', '\\/').replace('{', '{ '),
    ]) {
      assert.throws(() => assertExactKeyRow({ ...row, keyRecord }))
    }
  })
})
