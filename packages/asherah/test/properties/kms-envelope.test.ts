import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { AsherahError } from '../../src/errors.ts'
import { type AwsKmsEnvelope, decodeEnvelope, encodeEnvelope } from '../../src/kms/aws-kms-envelope.ts'

const bytes = (minLength: number, maxLength = minLength) =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))
const envelope: fc.Arbitrary<AwsKmsEnvelope> = fc.record(
  {
    encryptedKey: bytes(60),
    kmsKeks: fc.array(
      fc.record(
        { region: fc.string({ unit: 'grapheme' }), arn: fc.string(), encryptedKek: bytes(1, 200) },
        { noNullPrototype: true },
      ),
      { maxLength: 4 },
    ),
  },
  { noNullPrototype: true },
)

test('every envelope is read back as it was written', () => {
  fc.assert(
    fc.property(envelope, (written) => {
      assert.deepEqual(decodeEnvelope(encodeEnvelope(written)), written)
    }),
    { numRuns: 500 },
  )
})

test('whatever a row holds is an envelope, or the typed error, which repeats nothing of it', () => {
  const mark = 'QUOTED§'
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom(
      mark,
      '',
      '====',
      `${'A'.repeat(79)}B`,
      'A'.repeat(80),
      [],
      {},
      [null],
      [[]],
      [{ region: mark }],
    ),
    fc.array(
      fc.dictionary(
        fc.constantFrom('region', 'arn', 'encryptedKek', '__proto__'),
        fc.constantFrom(mark, 'QUE=', 1, null),
      ),
    ),
  )
  const object = fc
    .array(fc.tuple(fc.constantFrom('encryptedKey', 'kmsKeks', '__proto__', mark), value), { maxLength: 5 })
    .map((all) => `{${all.map(([name, item]) => `${JSON.stringify(name)}:${JSON.stringify(item)}`).join()}}`)
  const text = fc.oneof(
    object,
    fc.tuple(object, fc.nat(50)).map(([whole, cut]) => whole.slice(0, cut)),
    fc.json(),
    fc.string({ unit: 'binary' }),
  )
  const row = fc.oneof(
    text.map((source) => Buffer.from(source)),
    fc.uint8Array(),
  )
  fc.assert(
    fc.property(row, (source) => {
      try {
        const read = decodeEnvelope(source)
        assert.equal(read.encryptedKey.length, 60)
        for (const { region, arn, encryptedKek } of read.kmsKeks) {
          assert.ok(typeof region === 'string' && typeof arn === 'string' && encryptedKek.length > 0)
        }
      } catch (error) {
        assert.ok(error instanceof AsherahError, inspect(error))
        assert.equal(error.code, 'ERR_KMS')
        assert.ok(
          !inspect(error, { depth: 9 })
            .replaceAll(/^ +at .*$/gm, '')
            .includes('QUOTED'),
        )
      }
    }),
    { numRuns: 5000 },
  )
})
