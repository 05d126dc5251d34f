import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clearPlaintext } from '../../src/native/clear-plaintext.ts'
import type { Records } from '../../src/native/records.ts'
import { bytes, fault, native, partition, recordsWith, text } from './partition.ts'

const slabBytes = 65_536
const { session } = partition()
const records = recordsWith()
const guarded = recordsWith({ canaries: true })

function roundTrip(by: Records, data: Uint8Array): Buffer {
  return bytes(by.decrypt(session, text(by.encrypt(session, data, 0)), 0))
}

describe('decrypted bytes', () => {
  it('are Buffers of exact length that deepEqual takes for any other', () => {
    for (const by of [
      records,
      guarded,
      recordsWith({ isolated: true }),
      recordsWith({ isolated: true, canaries: true }),
    ]) {
      for (const size of [0, 1, 7, 8, 9, 64, 16_384, 16_385, 100_000]) {
        const data = Buffer.alloc(size, 0x5a)
        const opened = roundTrip(by, data)
        assert.ok(Buffer.isBuffer(opened))
        assert.equal(opened.length, size)
        assert.deepStrictEqual(opened, data)
      }
    }
  })

  it('share slabs up to 16 KiB, and nothing of Node’s own pool', () => {
    const one = roundTrip(records, Buffer.alloc(64, 1))
    const other = roundTrip(records, Buffer.alloc(16_384, 2))
    assert.equal(one.buffer.byteLength, slabBytes)
    assert.equal(other.buffer.byteLength, slabBytes)
    assert.notEqual(one.buffer, Buffer.allocUnsafe(8).buffer)
    assert.equal(roundTrip(records, Buffer.alloc(16_385)).buffer.byteLength, 16_385)
  })

  it('do not overlap', () => {
    const kept = Array.from({ length: 3000 }, (_, index) => {
      const data = Buffer.alloc(index % 700, index & 0xff)
      return [data, roundTrip(index % 2 === 0 ? records : guarded, data)] as const
    })
    for (const [data, opened] of kept) assert.deepEqual(opened, data)
  })

  it('have memory of their own when isolated', () => {
    for (const by of [recordsWith({ isolated: true }), recordsWith({ isolated: true, canaries: true })]) {
      for (const size of [1, 64, 9000, 20_000])
        assert.equal(roundTrip(by, Buffer.alloc(size, 3)).buffer.byteLength, size)
    }
  })

  it('leave zeroes when a tag does not verify', () => {
    const before = roundTrip(records, Buffer.from('marks the place'))
    const record = text(records.encrypt(session, Buffer.alloc(200, 0xee), 0))
    const broken = record.replace(/"Data":"(.)/, (_, first: string) => `"Data":"${first === 'A' ? 'B' : 'A'}`)
    assert.equal(records.decrypt(session, broken, 0), fault.dataAuthentication)
    const after = new Uint8Array(before.buffer, before.byteOffset + before.length, 300)
    assert.ok(after.every((byte) => byte === 0))
  })

  it('survive a slab that was detached by its user', () => {
    const victim = roundTrip(records, Buffer.from('victim'))
    const slab = victim.buffer as ArrayBuffer
    const at = victim.byteOffset
    const moved = slab.transfer()
    assert.equal(victim.length, 0)
    for (let index = 0; index < 2000; index++) {
      assert.deepEqual(roundTrip(records, Buffer.alloc(64, index & 0xff)), Buffer.alloc(64, index & 0xff))
    }
    assert.equal(moved.byteLength, slabBytes)
    assert.equal(Buffer.from(moved, at, 6).toString(), 'victim')
  })

  it('cannot be transferred to another thread', () => {
    const { buffer } = roundTrip(records, Buffer.from('here'))
    assert.throws(() => structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }), {
      name: 'DataCloneError',
    })
  })

  it('take a bounded amount of memory in a loop without a turn of the event loop', () => {
    const small = text(records.encrypt(session, Buffer.alloc(8192, 1), 0))
    const large = text(records.encrypt(session, Buffer.alloc(60_000, 1), 0))
    const work = (times: number): number => {
      for (let index = 0; index < times; index++) {
        records.decrypt(session, small, 0)
        records.decrypt(session, large, 0)
      }
      return process.memoryUsage.rss()
    }
    const before = work(2000)
    const grown = work(8000) - before
    // 8,000 times 68 KB are 550 MB.
    assert.ok(grown < 250e6, `${grown / 1e6} MB`)
  })

  it('are copied into the engine’s own memory where it allows no other', () => {
    native.plaintextRenew(false)
    try {
      for (const size of [0, 1, 64, 16_384, 100_000]) {
        const data = Buffer.alloc(size, 4)
        const opened = roundTrip(guarded, data)
        assert.deepEqual(opened, data)
        assert.equal(opened.buffer.byteLength, size)
      }
    } finally {
      native.plaintextRenew(true)
    }
    assert.equal(roundTrip(records, Buffer.alloc(64)).buffer.byteLength, slabBytes)
  })
})

describe('clearPlaintext', () => {
  it('zeroes any Uint8Array in place', () => {
    const plain = new Uint8Array([1, 2, 3, 4])
    clearPlaintext(plain.subarray(1, 3))
    assert.deepEqual([...plain], [1, 0, 0, 4])
    const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(1)
    clearPlaintext(shared)
    assert.deepEqual([...shared], [0, 0, 0])
    for (const by of [records, guarded]) {
      const opened = roundTrip(by, Buffer.alloc(500, 9))
      const neighbour = roundTrip(by, Buffer.alloc(5, 8))
      clearPlaintext(opened)
      assert.ok(opened.every((byte) => byte === 0))
      assert.deepEqual(neighbour, Buffer.alloc(5, 8))
    }
    clearPlaintext(new Uint8Array(0))
    clearPlaintext(null)
    clearPlaintext(undefined)
  })

  it('refuses what it could not zero', () => {
    for (const value of ['text', 5, {}, [1], new ArrayBuffer(4), new Uint16Array(2)]) {
      assert.throws(() => clearPlaintext(value as never), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' })
    }
  })
})

describe('canaries', () => {
  function around(opened: Buffer): { before: Uint8Array; after: Uint8Array } {
    const { buffer, byteOffset, length } = opened
    return {
      before: new Uint8Array(buffer, byteOffset - 16, 16),
      after: new Uint8Array(buffer, byteOffset + length, 16),
    }
  }

  it('are random and stand on both sides of a result', () => {
    const opened = roundTrip(guarded, Buffer.alloc(100, 1))
    const { before, after } = around(opened)
    assert.deepEqual(before, after)
    assert.ok(new Set(before).size > 4)
  })

  it('report one overwritten byte before or after a result, once', () => {
    native.takeCanaryFailures()
    for (const size of [1, 100, 16_000]) {
      for (const side of ['before', 'after'] as const) {
        for (const at of [0, 15]) {
          const opened = roundTrip(guarded, Buffer.alloc(size, 1))
          const canary = around(opened)[side]
          canary[at] = (canary[at] ?? 0) ^ 1
          native.clearPlaintext(opened)
          assert.equal(native.takeCanaryFailures(), 1, `${size} bytes, ${side}, ${at}`)
          native.clearPlaintext(opened)
          assert.equal(native.takeCanaryFailures(), 0)
        }
      }
    }
  })

  it('are not disturbed by writing to the results themselves', () => {
    native.takeCanaryFailures()
    const kept = Array.from({ length: 1000 }, (_, index) =>
      roundTrip(guarded, Buffer.alloc(index, 1)).fill(0xff),
    )
    for (const opened of kept) native.clearPlaintext(opened)
    for (const opened of kept) if (opened.length > 4) native.clearPlaintext(opened.subarray(2, 3))
    assert.equal(native.takeCanaryFailures(), 0)
  })

  it('are told to the factory that asked for them', () => {
    const told: number[] = []
    recordsWith()
    const own = recordsWith({ canaries: true }, (failures) => told.push(failures))
    const opened = roundTrip(own, Buffer.from('guarded'))
    around(opened).after.fill(0)
    clearPlaintext(opened)
    assert.deepEqual(told, [1])
    recordsWith({ canaries: true })
  })
})
