import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { miss } from '../../src/native/binding.ts'
import type { RecordFields } from '../../src/record-fields.ts'
import { bytes, created, fault, native, newRing, partition, recordsWith, text } from './partition.ts'

const records = recordsWith()
const payload = Buffer.from('a record by its fields')
const keyBytes = 60
const sealedBytes = payload.length + 28

/** A record of a partition, sealed by its fields. */
function sealed({ session, id }: ReturnType<typeof partition>, data: Uint8Array = payload): RecordFields {
  const out = Buffer.alloc(5 + keyBytes + 7 + data.length + 28, 0xee)
  const times = records.encryptFields(session, { data, out, keyAt: 5, dataAt: 72 }, 0)
  if (typeof times === 'number') throw new Error(`expected a result, got ${times}`)
  assert.deepEqual([out.subarray(0, 5), out.subarray(65, 72)], [Buffer.alloc(5, 0xee), Buffer.alloc(7, 0xee)])
  const [key, rest] = [out.subarray(5, 65), out.subarray(72)]
  return { created: times.created, key, parent: { keyId: id, created: times.parentCreated }, data: rest }
}

function json({ created: made, key, parent, data }: RecordFields): string {
  const base64 = (part: Uint8Array): string => Buffer.from(part).toString('base64')
  const ParentKeyMeta = { KeyId: parent.keyId, Created: parent.created }
  return JSON.stringify({ Key: { Created: made, Key: base64(key), ParentKeyMeta }, Data: base64(data) })
}

function flipped(part: Uint8Array, at: number): Buffer {
  const copy = Buffer.from(part)
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
  return copy
}

describe('a record by its fields', () => {
  const mine = partition()
  const record = sealed(mine)

  test('is the record that the JSON calls read and write', () => {
    assert.equal(record.parent.created, created)
    assert.ok(Math.abs(record.created - Date.now() / 1000) < 60)
    assert.deepEqual(bytes(records.decrypt(mine.session, json(record), 0)), payload)
    const { Key, Data } = JSON.parse(text(records.encrypt(mine.session, payload, 0)))
    const fields = {
      created: Key.Created,
      key: Buffer.from(Key.Key, 'base64'),
      parent: { keyId: Key.ParentKeyMeta.KeyId, created: Key.ParentKeyMeta.Created },
      data: Buffer.from(Data, 'base64'),
    }
    assert.deepEqual(bytes(records.decryptFields(mine.session, fields, 0)), payload)
  })

  for (const length of [0, 1, 16_385, 200_000]) {
    test(`holds ${length} bytes`, () => {
      const data = Buffer.alloc(length, 7)
      assert.deepEqual(bytes(records.decryptFields(mine.session, sealed(mine, data), 0)), data)
    })
  }

  test('may be sealed over its own data', () => {
    const out = Buffer.alloc(keyBytes + sealedBytes)
    out.set(payload)
    const data = out.subarray(0, payload.length)
    const times = records.encryptFields(mine.session, { data, out, keyAt: 0, dataAt: keyBytes }, 0)
    assert.ok(typeof times !== 'number')
    const fields = { ...record, key: out.subarray(0, keyBytes), data: out.subarray(keyBytes) }
    assert.deepEqual(bytes(records.decryptFields(mine.session, fields, 0)), payload)
  })

  const theirs = sealed(partition('_IK_tenant-43_api_catalog'))
  const sibling = sealed(mine)
  const attacks: readonly (readonly [string, Partial<RecordFields>, number])[] = [
    ...[0, 31, 47, 59].map(
      (at) =>
        [`bit of the key's byte ${at}`, { key: flipped(record.key, at) }, fault.keyAuthentication] as const,
    ),
    ...[0, payload.length, sealedBytes - 1].map(
      (at) =>
        [
          `bit of the data's byte ${at}`,
          { data: flipped(record.data, at) },
          fault.dataAuthentication,
        ] as const,
    ),
    ['key of a sibling', { key: sibling.key }, fault.dataAuthentication],
    ['data of a sibling', { data: sibling.data }, fault.dataAuthentication],
    ['data cut', { data: record.data.subarray(1) }, fault.dataAuthentication],
    ['data cut to a nonce and a tag', { data: record.data.subarray(-28) }, fault.dataAuthentication],
    ['data too short', { data: record.data.subarray(0, 27) }, fault.recordMalformed],
    ['no data', { data: new Uint8Array(0) }, fault.recordMalformed],
    ['data too long', { data: new Uint8Array((64 << 20) + 29) }, fault.tooLarge],
    ['key too short', { key: record.key.subarray(1) }, fault.recordMalformed],
    ['key too long', { key: Buffer.concat([record.key, Buffer.alloc(1)]) }, fault.recordMalformed],
    ['key of another partition, by its id', { key: theirs.key, parent: theirs.parent }, fault.recordForeign],
    ['key of another partition', { key: theirs.key }, fault.keyAuthentication],
    ['no id', { parent: { keyId: '', created } }, fault.recordForeign],
    ['longer id', { parent: { keyId: `${mine.id}_x`, created } }, fault.recordForeign],
    ['huge id', { parent: { keyId: mine.id.repeat(1000), created } }, fault.recordMalformed],
    ['other time of the parent', { parent: { keyId: mine.id, created: created + 1 } }, miss],
    ['negative time of the parent', { parent: { keyId: mine.id, created: -created } }, miss],
    ...[0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 53), 2 ** 63].flatMap((time) => [
      [`time ${time}`, { created: time }, fault.recordMalformed] as const,
      [
        `parent's time ${time}`,
        { parent: { keyId: mine.id, created: time } },
        fault.recordMalformed,
      ] as const,
    ]),
  ]

  for (const [name, change, expected] of attacks) {
    test(`is refused with another: ${name}`, () => {
      assert.equal(records.decryptFields(mine.session, { ...record, ...change }, 0), expected)
    })
  }

  test('has a time of its own that nothing depends on', () => {
    assert.deepEqual(bytes(records.decryptFields(mine.session, { ...record, created: -5 }, 0)), payload)
  })

  test('is not written where there is no room, nor without a key', () => {
    const out = Buffer.alloc(keyBytes + sealedBytes)
    for (const [keyAt, dataAt] of [
      [0, keyBytes + 1],
      [out.length - keyBytes + 1, 0],
      [2 ** 32 - 1, 0],
    ] as const) {
      assert.throws(() => records.encryptFields(mine.session, { data: payload, out, keyAt, dataAt }, 0), {
        code: 'ERR_INVALID_ARG_TYPE',
      })
    }
    const cold = native.sessionOpen(newRing(), mine.id)
    const untouched = Buffer.from(out)
    const input = { data: payload, out, keyAt: 0, dataAt: keyBytes }
    assert.equal(records.encryptFields(cold as typeof mine.session, input, 0), miss)
    assert.deepEqual(out, untouched)
  })
})
