import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadCases } from '../../../../tests/support/fixtures.ts'
import { AsherahError } from '../../src/errors.ts'
import { decodeKeyRecord, encodeKeyRecord } from '../../src/metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../../src/metastore/metastore.ts'
import { malformedRows } from './contract.ts'

const base = 1_795_315_800

test('a system key row and an intermediate key row have the exact shape of the canonical writers', () => {
  const encryptedKey = Buffer.from(
    'MJvhiKhPjIoGVFbapy6zMduluJI+dtbKFJ8G0UUTwv2r169stgEaGFVdIrz8I58cdx2DjwjGdjjzlSWD',
    'base64',
  )
  assert.equal(
    encodeKeyRecord('_SK_api_catalog', base, { created: base, encryptedKey }),
    '{"Created":1795315800,"Key":"MJvhiKhPjIoGVFbapy6zMduluJI+dtbKFJ8G0UUTwv2r169stgEaGFVdIrz8I58cdx2DjwjGdjjzlSWD"}',
  )
  const parentKeyMeta = { keyId: '_SK_api_catalog', created: base }
  assert.equal(
    encodeKeyRecord('_IK_a', base, {
      created: base,
      encryptedKey: Uint8Array.of(0),
      parentKeyMeta,
      revoked: false,
    }),
    '{"Created":1795315800,"Key":"AA==","ParentKeyMeta":{"KeyId":"_SK_api_catalog","Created":1795315800}}',
  )
  assert.equal(
    encodeKeyRecord('_SK_a', base, { created: base, encryptedKey: Uint8Array.of(0), revoked: true }),
    '{"Revoked":true,"Created":1795315800,"Key":"AA=="}',
  )
})

test('every row of the other implementations is decoded, and encoded to the same members', () => {
  for (const { name, writer, rows } of loadCases()) {
    for (const { id, created, keyRecord } of rows) {
      const text = encodeKeyRecord(id, created, decodeKeyRecord(id, created, keyRecord))
      assert.deepEqual(JSON.parse(text), JSON.parse(keyRecord), `${name} of ${writer}`)
    }
  }
})

for (const [what, text] of malformedRows(base)) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => decodeKeyRecord('_IK_"x"', base, text),
      (error: unknown) => {
        assert.ok(error instanceof AsherahError)
        assert.equal(error.code, 'ERR_METASTORE_ROW_MALFORMED')
        assert.ok(error.message.includes('"_IK_\\"x\\"" created 1795315800'))
        assert.equal(error.cause, undefined)
        return true
      },
    )
  })
}

// JSONB and JSON columns drop or normalise these, so they are not in the shared list.
for (const [what, text] of [
  ['Created 1795315800.0', `{"Created":${base}.0,"Key":"AQID"}`],
  ['Created with an exponent', '{"Created":17953158e2,"Key":"AQID"}'],
  ['Created twice', `{"Created":${base},"Created":${base},"Key":"AQID"}`],
  ['Key twice, once escaped', `{"Created":${base},"Key":"AQID","\\u004bey":"AQIE"}`],
  ['an unknown member twice', `{"Created":${base},"Key":"AQID","x":1,"x":1}`],
  ['KeyId twice', `{"Created":${base},"Key":"AQID","ParentKeyMeta":{"KeyId":"a","KeyId":"b","Created":1}}`],
  [
    'a KeyId with a lone surrogate',
    `{"Created":${base},"Key":"AQID","ParentKeyMeta":{"KeyId":"\\ud800","Created":1}}`,
  ],
  [
    'a parent time beyond 2^53',
    `{"Created":${base},"Key":"AQID","ParentKeyMeta":{"KeyId":"a","Created":9007199254740993}}`,
  ],
  ['Created -0', '{"Created":-0,"Key":"AQID"}'],
] as const) {
  test(`refused: ${what}`, () => {
    const created = what === 'Created -0' ? 0 : base
    assert.throws(() => decodeKeyRecord('_IK_a', created, text), { code: 'ERR_METASTORE_ROW_MALFORMED' })
  })
}

test('a member named __proto__ reaches no prototype', () => {
  const text = `{"__proto__":{"revoked":true,"parentKeyMeta":1},"constructor":1,"Created":${base},"Key":"AQID"}`
  const record = decodeKeyRecord('_SK_a', base, text)
  assert.equal(record.revoked, undefined)
  assert.equal(record.parentKeyMeta, undefined)
  assert.deepEqual(record, { created: base, encryptedKey: Uint8Array.of(1, 2, 3) })
  assert.equal(Object.getPrototypeOf(record), Object.prototype)
  assert.equal(({} as EnvelopeKeyRecord).revoked, undefined)
})

test('deep nesting and long strings of escapes end in an answer', () => {
  const deep = `{"x":${'['.repeat(100_000)}${']'.repeat(100_000)},"Created":${base},"Key":"AQID"}`
  try {
    assert.equal(decodeKeyRecord('_SK_a', base, deep).created, base)
  } catch (error) {
    assert.ok(error instanceof AsherahError)
  }
  const escapes = `{"x":"${'\\"'.repeat(100_000)}","Created":${base},"Key":"AQID"}`
  assert.equal(decodeKeyRecord('_SK_a', base, escapes).created, base)
  const plain = `{"x":"${'x'.repeat(200_000)}","Created":${base},"Key":"AQID"}`
  assert.equal(decodeKeyRecord('_SK_a', base, plain).created, base)
})

test('the largest wrapped key is written and read, one byte more is not', () => {
  const largest = { created: base, encryptedKey: new Uint8Array(64 * 1024).fill(7) }
  const text = encodeKeyRecord('_SK_a', base, largest)
  assert.deepEqual(decodeKeyRecord('_SK_a', base, text), largest)
  const more = Buffer.alloc(64 * 1024 + 1).toString('base64')
  assert.throws(() => decodeKeyRecord('_SK_a', base, `{"Created":${base},"Key":"${more}"}`), {
    code: 'ERR_METASTORE_ROW_MALFORMED',
    message: /65536 bytes/,
  })
})

const seconds = fc.integer({ min: -(2 ** 40), max: 2 ** 40 })
const text = fc.string({ unit: 'grapheme', minLength: 1 })
const record = fc
  .record(
    {
      created: seconds,
      encryptedKey: fc.uint8Array({ minLength: 1, maxLength: 200 }),
      parentKeyMeta: fc.record({ keyId: text, created: seconds }, { noNullPrototype: true }),
      revoked: fc.constant(true),
    },
    { requiredKeys: ['created', 'encryptedKey'], noNullPrototype: true },
  )
  .map((row) => row as EnvelopeKeyRecord)

test('every record is read back as it was written', () => {
  fc.assert(
    fc.property(text, record, (keyId, row) => {
      assert.deepEqual(decodeKeyRecord(keyId, row.created, encodeKeyRecord(keyId, row.created, row)), row)
    }),
    { numRuns: 1000 },
  )
})

test('order, white space, escapes and unknown members do not change what is read', () => {
  const blank = fc.stringMatching(/^[ \t\r\n]{0,3}$/)
  const escaped = (value: string): string =>
    `"${[...value].map((c) => (/[a-zA-Z+/=_]/.test(c) ? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}` : JSON.stringify(c).slice(1, -1))).join('')}"`
  fc.assert(
    fc.property(
      record,
      fc.infiniteStream(blank),
      fc.infiniteStream(fc.boolean()),
      fc.nat(119),
      fc.json(),
      (row, blanks, flips, order, extra) => {
        const gap = (): string => blanks.next().value
        const string = (value: string): string =>
          flips.next().value ? escaped(value) : JSON.stringify(value)
        const object = (all: string[][]): string =>
          `{${all.map(([name = '', value]) => `${gap()}${string(name)}${gap()}:${gap()}${value}${gap()}`).join(',')}}`
        const parent = row.parentKeyMeta
        const all = [
          ['Created', String(row.created)],
          ['Key', string(Buffer.from(row.encryptedKey).toString('base64'))],
          [
            'ParentKeyMeta',
            parent === undefined
              ? 'null'
              : object([
                  ['Created', String(parent.created)],
                  ['x', extra],
                  ['KeyId', string(parent.keyId)],
                ]),
          ],
          ['Revoked', row.revoked === true ? 'true' : flips.next().value ? 'false' : 'null'],
          ['Unknown', extra],
        ]
        const shuffled: string[][] = []
        for (let left = order; all.length > 0; left = Math.floor(left / (all.length + 1))) {
          shuffled.push(...all.splice(left % all.length, 1))
        }
        assert.deepEqual(decodeKeyRecord('_IK_a', row.created, `${gap()}${object(shuffled)}${gap()}`), row)
      },
    ),
    { numRuns: 1000 },
  )
})

test('no text whatever ends in anything but a record or the typed error', () => {
  const base64 = fc.uint8Array({ minLength: 1 }).map((bytes) => `"${Buffer.from(bytes).toString('base64')}"`)
  const value = fc.oneof(
    fc.json(),
    fc.constantFrom(String(base), 'true', 'null', '{', '}', '"', '\\', ',', ':', '[1]'),
    base64,
  )
  const member = fc.tuple(
    fc.constantFrom('"Created"', '"Key"', '"ParentKeyMeta"', '"Revoked"', '"KeyId"', '"x"'),
    value,
  )
  const soup = fc
    .array(member, { maxLength: 6 })
    .map((all) => `{${all.map(([name, item]) => `${name}:${item}`).join(',')}}`)
  fc.assert(
    fc.property(fc.oneof(soup, fc.string({ unit: 'binary' }), fc.json()), (source) => {
      try {
        const row = decodeKeyRecord('_IK_a', base, source)
        assert.equal(row.created, base)
        // What is accepted agrees with Node's own parser.
        const parsed = JSON.parse(source) as Record<string, unknown>
        assert.equal(parsed['Created'], base)
        assert.equal(parsed['Key'], Buffer.from(row.encryptedKey).toString('base64'))
        assert.equal(parsed['Revoked'] ?? false, row.revoked ?? false)
      } catch (error) {
        if (!(error instanceof AsherahError)) throw error
        assert.equal(error.code, 'ERR_METASTORE_ROW_MALFORMED')
      }
    }),
    { numRuns: 5000 },
  )
})
