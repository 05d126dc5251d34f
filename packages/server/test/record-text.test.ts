import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { recordFields, recordText, sentRecord } from '../src/session/record-text.ts'

const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
const base64 = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64'))
const id = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1 }),
  // Ids that look like the text around them.
  fc.constantFrom('","Created":', '}},"Data":"', '\\', '"', '_IK_p_s_p', ',"Key":"', '\u0000\n'),
)

test('a record is cut out of its text as JSON.parse would read it, and put together again', () => {
  fc.assert(
    fc.property(seconds, seconds, id, base64, base64, (created, parentCreated, keyId, key, data) => {
      const parts = { Created: created, Key: key, ParentKeyMeta: { KeyId: keyId, Created: parentCreated } }
      const text = JSON.stringify({ Key: parts, Data: data })
      const sent = sentRecord(text)
      assert.deepEqual(sent, {
        key: { created, key, parent_key_meta: { created: parentCreated, key_id: keyId } },
        data,
      })
      const received = {
        key: {
          created: long(created),
          key: Buffer.from(key, 'base64'),
          parent_key_meta: { created: long(parentCreated), key_id: keyId },
        },
        data: Buffer.from(data, 'base64'),
      }
      const fields = recordFields(received)
      assert.equal(fields && recordText(fields), text)
    }),
  )
})

test('a record whose members stand in another order is read too', () => {
  const text = '{"Data":"AA==","Key":{"ParentKeyMeta":{"Created":2,"KeyId":"i"},"Key":"AQ==","Created":1}}'
  const parent_key_meta = { created: 2, key_id: 'i' }
  assert.deepEqual(sentRecord(text), { key: { created: 1, key: 'AQ==', parent_key_meta }, data: 'AA==' })
})

function long(value: number): { low: number; high: number; toString(): string } {
  return { low: value | 0, high: Math.floor(value / 2 ** 32), toString: () => String(value) }
}
