import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NativeBinding, SessionHandle } from '../../src/native/binding.ts'
import { checked } from '../../src/native/checked.ts'
import {
  bytes,
  created,
  far,
  fault,
  native,
  newRing,
  partition,
  putKey,
  recordsWith,
  text,
} from './partition.ts'

const records = recordsWith()

/** Numbers that were never given, whatever the kind. */
const strangers = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  0,
  -0,
  1,
  -1,
  2,
  3,
  0.5,
  16_777_216,
  16_777_216.5,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 52,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 64,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  Number.EPSILON,
]

/** Values of every kind that is not the one asked for. */
const notNumbers: readonly unknown[] = [
  undefined,
  null,
  true,
  'x',
  '16777217',
  Symbol('s'),
  5n,
  {},
  [],
  () => 1,
  new Proxy({}, {}),
  new Date(),
  { valueOf: () => 1 },
]
const detached = new Uint8Array(8)
structuredClone(detached.buffer, { transfer: [detached.buffer] })
const notBytes: readonly unknown[] = [
  undefined,
  null,
  5,
  5n,
  Symbol('s'),
  {},
  [1, 2],
  { length: 4, 0: 1 },
  new ArrayBuffer(8),
  new SharedArrayBuffer(8),
  new Uint16Array(4),
  new Int8Array(4),
  new Uint8ClampedArray(4),
  new Float64Array(2),
  new BigInt64Array(1),
  new DataView(new ArrayBuffer(8)),
  new Proxy(new Uint8Array(4), {}),
  Object.create(Uint8Array.prototype),
  detached,
]

/** Calls the addon with arguments that its types forbid. */
function raw(name: keyof NativeBinding, ...args: readonly unknown[]): unknown {
  return (native[name] as (...given: readonly unknown[]) => unknown)(...args)
}

describe('handles', () => {
  const { ring, session, key, id } = partition()
  const record = text(records.encryptString(session, 'x', 0))

  it('takes no number that it did not give', () => {
    for (const number of strangers) {
      const calls: readonly unknown[] = [
        raw('encrypt', number, Buffer.from('x'), 0),
        raw('encryptString', number, 'x', 0),
        raw('decrypt', number, record, 0),
        raw('decryptString', number, record, 0),
        raw('encryptOnPool', number, Buffer.from('x'), 0),
        raw('decryptOnPool', number, record, 0),
        raw('sessionClose', number),
        raw('sessionOpen', number, id),
        raw('keyRelease', number),
        raw('keyWrap', number, key, Buffer.alloc(60)),
        raw('keyWrap', key, number, Buffer.alloc(60)),
        raw('keyExport', number, Buffer.alloc(32)),
        raw('keyUnwrap', Buffer.alloc(60), number),
        raw('ringStats', number),
        raw('ringClose', number),
        raw('ringGet', number, id, created, Buffer.alloc(56)),
        raw('ringPut', number, id, created, key, far, false, far, far, true),
        raw('ringPut', ring, id, created, number, far, false, far, far, true),
        raw('ringSetClock', number, 0, 0),
        raw('ringEvict', number, id, created),
        raw('ringBackOff', number, id, created, 0),
        raw('ringRefresh', number, id, created, far, false, far, far, true),
      ]
      for (const [index, answer] of calls.entries())
        assert.equal(answer, fault.staleHandle, `${number}, call ${index}`)
    }
  })

  it('takes no number of another kind', () => {
    assert.equal(raw('encrypt', ring, Buffer.from('x'), 0), fault.staleHandle)
    assert.equal(raw('encrypt', key, Buffer.from('x'), 0), fault.staleHandle)
    assert.equal(raw('ringClose', session), fault.staleHandle)
    assert.equal(raw('ringClose', key), fault.staleHandle)
    assert.equal(raw('keyRelease', ring), fault.staleHandle)
    assert.equal(raw('keyRelease', session), fault.staleHandle)
  })

  it('takes no number twice', () => {
    for (let round = 0; round < 300; round++) {
      const opened = checked(native.sessionOpen(ring, id)) as SessionHandle
      assert.equal(native.sessionClose(opened), 0)
      assert.equal(native.sessionClose(opened), fault.staleHandle)
      assert.equal(native.encrypt(opened, Buffer.from('x'), 0), fault.staleHandle)
      const next = checked(native.sessionOpen(ring, id)) as SessionHandle
      assert.notEqual(next, opened)
      assert.equal(native.encrypt(opened, Buffer.from('x'), 0), fault.staleHandle)
      assert.equal(native.sessionClose(opened), fault.staleHandle)
      assert.equal(native.sessionClose(next), 0)
    }
  })

  it('keeps ten thousand sessions apart', () => {
    const other = newRing()
    const ids = Array.from({ length: 10_000 }, (_, index) => `_IK_p${index}_api_catalog`)
    const sessions = ids.map((one) => checked(native.sessionOpen(other, one)) as SessionHandle)
    assert.equal(new Set(sessions).size, sessions.length)
    const at = 7777
    putKey(other, ids[at] ?? '', key)
    const usable = sessions.filter((one) => typeof native.encryptString(one, 'x', 0) === 'string')
    assert.deepEqual(usable, [sessions[at]])
    for (const one of sessions) assert.equal(native.sessionClose(one), 0)
    assert.equal(native.ringClose(other), 0)
  })
})

describe('arguments of a wrong type', () => {
  const { ring, session, id, key } = partition()
  const record = text(records.encryptString(session, 'x', 0))

  it('throws a TypeError from the per-record calls', () => {
    const wrong = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
    for (const value of notNumbers) {
      assert.throws(() => raw('encrypt', value, Buffer.from('x'), 0), wrong)
      assert.throws(() => raw('encrypt', session, Buffer.from('x'), value), wrong)
      assert.throws(() => raw('decrypt', value, record, 0), wrong)
      assert.throws(() => raw('sessionClose', value), wrong)
      assert.throws(() => raw('encryptOnPool', value, Buffer.from('x'), 0), wrong)
    }
    for (const value of notBytes) {
      assert.throws(() => raw('encrypt', session, value, 0), wrong)
      assert.throws(() => raw('encryptOnPool', session, value, 0), wrong)
      assert.throws(() => raw('decrypt', session, value, 0), wrong)
      assert.throws(() => raw('decryptString', session, value, 0), wrong)
      assert.throws(() => raw('decryptOnPool', session, value, 0), wrong)
      assert.throws(() => raw('decryptStringOnPool', session, value, 0), wrong)
      assert.throws(() => raw('encryptString', session, value, 0), wrong)
      assert.throws(() => raw('encryptStringOnPool', session, value, 0), wrong)
      assert.throws(() => raw('clearPlaintext', value), wrong)
      assert.throws(() => raw('attach', value), wrong)
    }
    for (const name of [
      'encrypt',
      'encryptString',
      'decrypt',
      'decryptString',
      'encryptOnPool',
      'decryptOnPool',
    ] as const) {
      assert.throws(() => raw(name), wrong)
      assert.throws(() => raw(name, session), wrong)
    }
    assert.equal(records.decryptString(session, record, 0), 'x')
  })

  it('throws from the other calls', () => {
    for (const value of notNumbers) {
      assert.throws(() => raw('ringStats', value))
      assert.throws(() => raw('keyRelease', value))
      assert.throws(() => raw('ringPut', ring, id, value, key, far, false, far, far, true))
    }
    for (const value of notBytes) {
      assert.throws(() => raw('keyImport', value))
      assert.throws(() => raw('keyExport', key, value))
      assert.throws(() => raw('keyUnwrap', value, key))
    }
    for (const value of [
      undefined,
      null,
      5,
      {},
      { capacity: 'x' },
      { capacity: 1, suffix: 1, acceptedSuffixes: [] },
    ]) {
      assert.throws(() => raw('ringCreate', value))
    }
    assert.throws(() => raw('sessionOpen', ring, 5))
    assert.equal(records.decryptString(session, record, 0), 'x')
  })

  it('answers numbers that are no times and no sizes', () => {
    for (const time of [0.5, 2 ** 53, -(2 ** 53), Number.POSITIVE_INFINITY]) {
      assert.equal(raw('ringPut', ring, id, time, key, far, false, far, far, true), fault.recordMalformed)
    }
    assert.equal(
      raw(
        'ringPut',
        ring,
        id,
        created,
        key,
        Number.POSITIVE_INFINITY,
        false,
        Number.POSITIVE_INFINITY,
        Number.NaN,
        true,
      ),
      0,
    )
    assert.ok(checked(raw('ringCreate', { capacity: -5, suffix: '', acceptedSuffixes: [] }) as number) > 0)
    assert.equal(raw('memoryPrepare', Number.NaN, false), 0)
    assert.equal(raw('sessionOpen', ring, 'x'.repeat(5000)), fault.recordMalformed)
  })
})

describe('bytes in unusual memory', () => {
  const { session } = partition()

  it('reads shared, resizable, offset and empty views', () => {
    const shared = new Uint8Array(new SharedArrayBuffer(100)).fill(7)
    const resizable = new ArrayBuffer(16, { maxByteLength: 64 })
    const tracking = new Uint8Array(resizable).fill(8)
    resizable.resize(40)
    const views = [
      shared,
      shared.subarray(90),
      tracking,
      Buffer.from('abcdef').subarray(2, 4),
      new Uint8Array(0),
      Buffer.alloc(0),
    ]
    for (const view of views) {
      const record = text(records.encrypt(session, view, 0))
      assert.deepEqual(bytes(records.decrypt(session, record, 0)), Buffer.from(view))
    }
    const record = text(records.encryptString(session, 'shared', 0))
    const sharedRecord = new Uint8Array(new SharedArrayBuffer(record.length))
    sharedRecord.set(Buffer.from(record))
    assert.equal(records.decryptString(session, sharedRecord, 0), 'shared')
    assert.equal(bytes(records.decrypt(session, sharedRecord, 0)).toString(), 'shared')
  })

  it('takes a view that shrank out of its buffer as empty', () => {
    const resizable = new ArrayBuffer(64, { maxByteLength: 64 })
    const out = new Uint8Array(resizable, 32, 16)
    resizable.resize(8)
    assert.deepEqual(
      bytes(records.decrypt(session, text(records.encrypt(session, out, 0)), 0)),
      Buffer.alloc(0),
    )
  })

  it('refuses a text of 100 MB and a record of 100 MB of blanks without harm', () => {
    assert.equal(records.encryptString(session, 'x'.repeat(100_000_000), 0), fault.tooLarge)
    assert.equal(records.decryptString(session, ' '.repeat(100_000_000), 0), fault.recordMalformed)
    assert.equal(typeof records.encryptString(session, 'x', 0), 'string')
  })
})
