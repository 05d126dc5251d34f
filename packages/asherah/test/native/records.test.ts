import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type KeyHandle, miss, overdue, tolerateOverdue } from '../../src/native/binding.ts'
import { oracleDecrypt, oracleEncrypt, type ParsedRecord } from './oracle.ts'
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
const sizes = [
  0, 1, 15, 16, 17, 63, 64, 65, 1023, 4096, 8192, 16_383, 16_384, 16_385, 65_535, 65_536, 300_000,
]

describe('records and the node:crypto oracle', () => {
  const { session, keyBytes, id } = partition()

  it('opens what the data plane wrote, at every size where a path changes', () => {
    for (const size of sizes) {
      const data = randomBytes(size)
      assert.deepEqual(
        oracleDecrypt(keyBytes, text(records.encrypt(session, data, 0))),
        data,
        `${size} bytes`,
      )
    }
  })

  it('writes what the data plane opens, as text and as bytes', () => {
    for (const size of sizes) {
      const data = randomBytes(size)
      const record = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, data)
      assert.deepEqual(records.decrypt(session, record, 0), data, `${size} bytes`)
      assert.deepEqual(records.decrypt(session, Buffer.from(record), 0), data, `${size} bytes`)
    }
  })

  it('agrees on random payloads and texts', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3000 }),
        fc.string({ unit: 'binary', maxLength: 1500 }),
        (data, string) => {
          const sealed = text(records.encrypt(session, data, 0))
          const sealedText = text(records.encryptString(session, string, 0))
          assert.deepEqual(oracleDecrypt(keyBytes, sealed), Buffer.from(data))
          assert.deepEqual(bytes(records.decrypt(session, sealed, 0)), Buffer.from(data))
          assert.equal(oracleDecrypt(keyBytes, sealedText).toString(), string)
          assert.equal(records.decryptString(session, sealedText, 0), string)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('writes the members in the order of contract 2.2, with the latest key', () => {
    const record = text(records.encrypt(session, Buffer.from('hello'), 0))
    const parsed = JSON.parse(record) as ParsedRecord
    assert.equal(JSON.stringify(parsed), record)
    assert.deepEqual(Object.keys(parsed), ['Key', 'Data'])
    assert.deepEqual(Object.keys(parsed.Key), ['Created', 'Key', 'ParentKeyMeta'])
    assert.deepEqual(parsed.Key.ParentKeyMeta, { KeyId: id, Created: created })
    assert.ok(Math.abs(parsed.Key.Created - Date.now() / 1000) < 3)
  })

  it('never makes the same record twice', () => {
    const made = new Set(Array.from({ length: 200 }, () => records.encrypt(session, Buffer.from('same'), 0)))
    assert.equal(made.size, 200)
  })
})

describe('strings', () => {
  it('keeps every kind of text', () => {
    const { session, keyBytes } = partition()
    const texts = [
      '',
      'a',
      'é',
      'ÿ',
      'Ā',
      '日本語',
      '🔑',
      'a\0b',
      '"\\\u2028',
      'x'.repeat(5000),
      'é'.repeat(5000),
      '日'.repeat(5000),
      '🔑'.repeat(3000),
      `${'x'.repeat(4090)}🔑🔑`,
      `${'x'.repeat(4091)}日`,
      'é'.repeat(1363),
      '日'.repeat(40_000),
    ]
    for (const one of texts) {
      const record = text(records.encryptString(session, one, 0))
      assert.deepEqual(oracleDecrypt(keyBytes, record), Buffer.from(one))
      assert.equal(records.decryptString(session, record, 0), one)
      assert.deepEqual(bytes(records.decrypt(session, record, 0)), Buffer.from(one))
    }
  })

  it('keeps texts around every length at which the scratch memory grows', () => {
    const { session } = partition()
    for (let length = 4080; length < 4100; length++) {
      for (const unit of ['x', 'é', '日']) {
        const one = unit.repeat(length)
        assert.equal(records.decryptString(session, text(records.encryptString(session, one, 0)), 0), one)
      }
    }
  })

  it('writes a partition id that is not ASCII', () => {
    const id = '_IK_kunde-é-日-🔑-"\\_api_catalog'
    const { session, keyBytes } = partition(id)
    const record = text(records.encrypt(session, Buffer.from('x'), 0))
    assert.equal((JSON.parse(record) as ParsedRecord).Key.ParentKeyMeta.KeyId, id)
    assert.equal(oracleDecrypt(keyBytes, record).toString(), 'x')
    assert.equal(records.decryptString(session, record, 0), 'x')
    assert.equal(records.decryptString(session, Buffer.from(record), 0), 'x')
  })

  it('refuses bytes that are no UTF-8 as a string, and gives them as bytes', () => {
    const { session } = partition()
    for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0x61, 0xe2, 0x82]]) {
      const record = text(records.encrypt(session, Uint8Array.from(bad), 0))
      assert.equal(records.decryptString(session, record, 0), fault.notUtf8)
      assert.deepEqual([...bytes(records.decrypt(session, record, 0))], bad)
    }
  })

  it('does not take a two-byte string for the Latin-1 one it would be cut to', () => {
    const { session } = partition()
    const record = text(records.encryptString(session, 'secret', 0))
    // Each character keeps its low byte: cut to Latin-1, this would be the record.
    const disguised = Array.from(record, (character) =>
      String.fromCharCode(character.charCodeAt(0) + 0x100),
    ).join('')
    assert.equal(records.decrypt(session, disguised, 0), fault.recordMalformed)
    for (const at of [0, 1, 20, 200, record.length - 1]) {
      const changed = String.fromCharCode(record.charCodeAt(at) + 0x100)
      const mixed = `${record.slice(0, at)}${changed}${record.slice(at + 1)}`
      assert.notEqual(records.decryptString(session, mixed, 0), 'secret', `position ${at}`)
    }
  })

  it('reads ropes, slices and two-byte strings of ASCII', () => {
    const { session } = partition()
    const record = text(records.encryptString(session, 'secret', 0))
    const half = record.length >> 1
    assert.equal(records.decryptString(session, record.slice(0, half) + record.slice(half), 0), 'secret')
    assert.equal(records.decryptString(session, `日${record}`.slice(1), 0), 'secret')
  })
})

describe('statuses', () => {
  it('tells each kind of broken record apart', () => {
    const { session } = partition()
    const record = text(records.encryptString(session, 'secret', 0))
    const parsed = JSON.parse(record) as ParsedRecord
    const foreign = partition('_IK_tenant-43_api_catalog')
    assert.equal(
      records.decrypt(session, text(records.encrypt(foreign.session, Buffer.from('x'), 0)), 0),
      fault.recordForeign,
    )
    assert.equal(
      records.decrypt(session, JSON.stringify({ ...parsed, Data: flipped(parsed.Data) }), 0),
      fault.dataAuthentication,
    )
    const badKey = { ...parsed, Key: { ...parsed.Key, Key: flipped(parsed.Key.Key) } }
    assert.equal(records.decrypt(session, JSON.stringify(badKey), 0), fault.keyAuthentication)
    for (const bad of ['', '{}', 'null', '[]', '"', record.slice(1), `${record}x`, record.slice(0, -2)]) {
      assert.equal(records.decrypt(session, bad, 0), fault.recordMalformed, bad)
      assert.equal(records.decryptString(session, Buffer.from(bad), 0), fault.recordMalformed, bad)
    }
    assert.equal(records.decryptString(session, record, 0), 'secret')
  })

  it('asks for what the ring lacks', () => {
    const { session, keyBytes, id } = partition()
    const unknown = oracleEncrypt(keyBytes, { KeyId: id, Created: created - 60 }, Buffer.from('x'))
    assert.equal(records.decrypt(session, unknown, 0), miss)
    assert.deepEqual(records.question(), { keyId: id, created: created - 60 })
    const empty = native.sessionOpen(newRing(), id)
    assert.equal(records.encrypt(empty, Buffer.from('x'), 0), miss)
    assert.equal(records.encryptString(empty, 'x', 0), miss)
    assert.equal(records.due, false)
  })

  it('does not encrypt with an expired or revoked key, and decrypts with both', () => {
    for (const put of [{ expiresAtMs: Date.now() - 1000 }, { revoked: true }]) {
      const { session, keyBytes, id } = partition(undefined, put)
      assert.equal(records.encrypt(session, Buffer.from('x'), 0), miss)
      const record = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, Buffer.from('x'))
      assert.equal(records.decryptString(session, record, 0), 'x')
    }
  })

  it('tells one caller that a check is due, and refuses when it is overdue', () => {
    const soon = partition(undefined, { checkAfterMs: 0 })
    const record = text(records.encrypt(soon.session, Buffer.from('x'), 0))
    assert.equal(records.due, true)
    text(records.encrypt(soon.session, Buffer.from('x'), 0))
    assert.equal(records.due, false)
    bytes(records.decrypt(soon.session, record, 0))
    assert.equal(records.due, true)
    assert.deepEqual(records.question(), { keyId: soon.id, created })
    bytes(records.decrypt(soon.session, record, 0))
    assert.equal(records.due, false)

    const late = partition(undefined, { checkAfterMs: 0, overdueAfterMs: 0 })
    assert.equal(records.encryptString(late.session, 'x', 0), overdue)
    assert.equal(records.due, false)
    text(records.encryptString(late.session, 'x', tolerateOverdue))
    assert.equal(records.due, true)
    const other = oracleEncrypt(late.keyBytes, { KeyId: late.id, Created: created }, Buffer.from('x'))
    assert.equal(records.decrypt(late.session, other, 0), overdue)
    assert.deepEqual(records.question(), { keyId: late.id, created })
    assert.equal(bytes(records.decrypt(late.session, other, tolerateOverdue)).toString(), 'x')
  })

  it('follows a clock that is set, and the system again', () => {
    const { session, ring } = partition(undefined, { expiresAtMs: Date.now() + 3_600_000 })
    const answer = (): number | string => records.encrypt(session, Buffer.from('x'), 0)
    native.ringSetClock(ring, Date.now() + 7_200_000, 0)
    assert.equal(answer(), miss)
    native.ringSetClock(ring, 1_000_000_000_000, 0)
    assert.equal((JSON.parse(text(answer())) as ParsedRecord).Key.Created, 1_000_000_000)
    native.ringSetClock(ring, Number.NaN, Number.NaN)
    assert.equal(typeof answer(), 'string')
  })

  for (const size of [1 << 20, 32 << 20]) {
    it(`gives nothing of a record of ${size >> 20} MB whose last byte was changed`, async () => {
      const { session } = partition()
      const payload = Buffer.alloc(size, 'payload')
      const record = text(records.encrypt(session, payload, 0))
      const escaped = record.replace(/"Data":"(.)/, (_, first: string) => {
        return `"Data":"\\u00${first.charCodeAt(0).toString(16)}`
      })
      for (const whole of [record, escaped]) {
        assert.ok(bytes(records.decrypt(session, whole, 0)).equals(payload))
        assert.equal(records.decryptString(session, whole, 0), payload.toString())
      }
      // The last byte of the nonce, of the tag and of the ciphertext.
      for (const back of [1, 13, 29]) {
        const sealed = Buffer.from((JSON.parse(record) as { Data: string }).Data, 'base64')
        sealed.writeUInt8(sealed.readUInt8(sealed.length - back) ^ 1, sealed.length - back)
        const start = record.indexOf('"Data":"') + 8
        const changed = `${record.slice(0, start)}${sealed.toString('base64')}"}`
        assert.equal(records.decrypt(session, changed, 0), fault.dataAuthentication)
        assert.equal(records.decryptString(session, changed, 0), fault.dataAuthentication)
        assert.equal(await records.decryptOnPool(session, changed, 0), fault.dataAuthentication)
        assert.equal(await records.decryptStringOnPool(session, changed, 0), fault.dataAuthentication)
      }
      const [middle, shorter] = [record.length >> 1, record.length - 3]
      for (const at of [middle, shorter]) {
        for (const wrong of ['"', '-', 'é', '日', '\\']) {
          const malformed = record.slice(0, at) + wrong + record.slice(at + 1)
          assert.equal(records.decrypt(session, malformed, 0), fault.recordMalformed, `${wrong} at ${at}`)
        }
      }
    })
  }

  it('refuses payloads above 64 MiB in both directions, and takes 64 MiB', () => {
    const { session, keyBytes, id } = partition()
    const most = 64 << 20
    const payload = Buffer.alloc(most + 1, 7)
    assert.equal(records.encrypt(session, payload, 0), fault.tooLarge)
    const record = text(records.encrypt(session, payload.subarray(0, most), 0))
    assert.ok(bytes(records.decrypt(session, record, 0)).equals(payload.subarray(0, most)))
    assert.equal(records.encryptString(session, 'x'.repeat(most + 1), 0), fault.tooLarge)
    assert.equal(records.encryptString(session, '日'.repeat(((most / 3) | 0) + 1), 0), fault.tooLarge)
    const larger = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, payload)
    assert.equal(records.decrypt(session, larger, 0), fault.tooLarge)
    assert.equal(records.decryptString(session, ' '.repeat((128 << 20) + 1), 0), fault.tooLarge)
  })
})

describe('rings and keys by handle', () => {
  it('puts, gets, refreshes, evicts, backs off and counts', () => {
    const { ring, session, id, key } = partition()
    const entry = new Float64Array(7)
    const out = new Uint8Array(entry.buffer)
    assert.equal(native.ringGet(ring, id, Number.NaN, out), 1)
    const [handle = 0, ...known] = entry
    assert.deepEqual(known, [created, far, 0, far, far, 0])
    assert.equal(native.keyRelease(handle as KeyHandle), 0)
    assert.equal(native.ringGet(ring, id, created + 1, out), 0)
    assert.equal(native.ringGet(ring, id, created, out.subarray(1)), fault.keyLength)
    assert.equal(native.ringRefresh(ring, id, created, far, false, 0, 0, true), 1)
    assert.equal(native.ringRefresh(ring, id, created + 1, far, false, 0, 0, true), 0)
    assert.equal(records.encryptString(session, 'x', 0), overdue)
    assert.equal(native.ringBackOff(ring, id, Number.NaN, far), 0)
    assert.equal(typeof records.encryptString(session, 'x', 0), 'string')
    assert.equal(native.ringEvict(ring, id, created), 1)
    assert.equal(native.ringEvict(ring, id, created), 0)
    assert.equal(records.encryptString(session, 'x', 0), miss)
    putKey(ring, id, key)
    const stats = native.ringStats(ring)
    assert.ok(typeof stats === 'object')
    assert.equal(stats.keys, 1)
    assert.equal(stats.capacity, 100)
    assert.ok(stats.hits >= 1 && stats.misses >= 2)
  })

  it('wraps and unwraps keys as the oracle does, and a released key lives on in its ring', async () => {
    const { open, seal } = await import('./oracle.ts')
    const parentBytes = randomBytes(32)
    const parent = native.keyImport(Buffer.from(parentBytes))
    const { session, key, keyBytes } = partition()
    const wrapped = Buffer.alloc(60)
    assert.equal(native.keyWrap(key, parent, wrapped), 0)
    assert.equal(native.keyWrap(key, parent, Buffer.alloc(59)), fault.keyLength)
    assert.deepEqual(open(parentBytes, wrapped), keyBytes)
    const again = native.keyUnwrap(seal(parentBytes, keyBytes), parent)
    const out = Buffer.alloc(32)
    assert.equal(native.keyExport(again, out), 0)
    assert.deepEqual(out, keyBytes)
    assert.equal(native.keyUnwrap(seal(randomBytes(32), keyBytes), parent), -16)
    assert.equal(native.keyUnwrap(Buffer.alloc(59), parent), fault.keyLength)
    assert.equal(native.keyExport(again, Buffer.alloc(31)), fault.keyLength)
    for (const handle of [key, parent, again]) assert.equal(native.keyRelease(handle), 0)
    assert.equal(native.keyExport(again, out), fault.staleHandle)
    assert.equal(typeof records.encryptString(session, 'x', 0), 'string')
  })

  it('overwrites the bytes that it imports, good or bad', () => {
    const good = randomBytes(32)
    const shared = new Uint8Array(new SharedArrayBuffer(32)).fill(9)
    assert.ok(native.keyImport(good) > 0)
    assert.ok(native.keyImport(shared) > 0)
    const bad = Buffer.alloc(33, 1)
    assert.equal(native.keyImport(bad), fault.keyLength)
    for (const bytesGiven of [good, shared, bad]) assert.ok(bytesGiven.every((byte) => byte === 0))
  })

  it('answers closed when the ring is closed under a session', () => {
    const { ring, session } = partition()
    const record = text(records.encryptString(session, 'x', 0))
    assert.equal(native.ringClose(ring), 0)
    assert.equal(records.encryptString(session, 'x', 0), fault.closed)
    assert.equal(records.decryptString(session, record, 0), fault.closed)
    assert.equal(native.ringClose(ring), fault.staleHandle)
    assert.equal(native.ringStats(ring), fault.staleHandle)
    assert.equal(native.sessionClose(session), 0)
  })
})

function flipped(base64: string): string {
  const decoded = Buffer.from(base64, 'base64')
  decoded.writeUInt8(decoded.readUInt8(3) ^ 1, 3)
  return decoded.toString('base64')
}
