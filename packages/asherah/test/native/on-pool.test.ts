import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { miss, overdue, tolerateOverdue } from '../../src/native/binding.ts'
import { faultError } from '../../src/native/checked.ts'
import { oracleDecrypt, oracleEncrypt, type ParsedRecord } from './oracle.ts'
import { bytes, created, fault, native, newRing, partition, recordsWith, text } from './partition.ts'

const records = recordsWith()

describe('records on the thread pool', () => {
  it('agree with the oracle both ways', async () => {
    const { session, keyBytes, id } = partition()
    for (const size of [0, 1, 4096, 65_536, 300_000, 3_000_000]) {
      const data = randomBytes(size)
      assert.deepEqual(oracleDecrypt(keyBytes, text(await records.encryptOnPool(session, data, 0))), data)
      const record = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, data)
      for (const given of [record, Buffer.from(record), JSON.stringify(JSON.parse(record), undefined, 1)]) {
        const opened = bytes(await records.decryptOnPool(session, given, 0))
        assert.ok(Buffer.isBuffer(opened))
        assert.deepEqual(opened, data)
      }
    }
    for (const one of ['', 'x'.repeat(100_000), '日本語'.repeat(50_000), 'é'.repeat(90_000)]) {
      const record = text(await records.encryptStringOnPool(session, one, 0))
      assert.equal(oracleDecrypt(keyBytes, record).toString(), one)
      assert.equal(await records.decryptStringOnPool(session, record, 0), one)
    }
  })

  it('write a partition id that is not ASCII', async () => {
    const { session } = partition('_IK_é日_api_catalog')
    const record = text(await records.encryptOnPool(session, Buffer.from('x'), 0))
    assert.equal((JSON.parse(record) as ParsedRecord).Key.ParentKeyMeta.KeyId, '_IK_é日_api_catalog')
    assert.equal(await records.decryptStringOnPool(session, record, 0), 'x')
  })

  it('work on a copy: the input may be changed or transferred at once', async () => {
    const { session } = partition()
    const data = Buffer.alloc(500_000, 7)
    const sealing = records.encryptOnPool(session, data, 0)
    data.fill(0)
    const record = Buffer.from(text(await sealing))
    const copy = new Uint8Array(record)
    const opening = records.decryptOnPool(session, copy, 0)
    structuredClone(copy.buffer, { transfer: [copy.buffer] })
    assert.deepEqual(bytes(await opening), Buffer.alloc(500_000, 7))
  })

  it('say at once that a key must be brought, or that a check is due', async () => {
    const { session, keyBytes, id } = partition(undefined, { checkAfterMs: 0 })
    const record = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, randomBytes(100_000))
    const unusual = JSON.stringify({
      extra: { a: {}, Data: 'AAAA' },
      ...(JSON.parse(record) as ParsedRecord),
    })
    const sealing = records.encryptOnPool(session, randomBytes(100_000), 0)
    assert.equal(records.due, true)
    const opening = records.decryptOnPool(session, record, 0)
    assert.equal(records.due, true)
    assert.deepEqual(records.question(), { keyId: id, created })
    const again = records.decryptOnPool(session, unusual, 0)
    assert.equal(records.due, false)
    text(await sealing)
    bytes(await opening)
    bytes(await again)

    const empty = native.sessionOpen(newRing(), id)
    assert.equal(records.encryptOnPool(empty, Buffer.from('x'), 0), miss)
    assert.equal(records.encryptStringOnPool(empty, 'x', 0), miss)
    assert.equal(records.decryptOnPool(empty, record, 0), miss)
    assert.deepEqual(records.question(), { keyId: id, created })
    assert.equal(records.decryptStringOnPool(empty, unusual, 0), miss)

    for (const put of [{ expiresAtMs: 1 }, { revoked: true }]) {
      assert.equal(records.encryptOnPool(partition(undefined, put).session, Buffer.from('x'), 0), miss)
    }
    const late = partition(undefined, { checkAfterMs: 0, overdueAfterMs: 0 })
    assert.equal(records.encryptOnPool(late.session, Buffer.from('x'), 0), overdue)
    assert.equal(
      typeof (await records.encryptOnPool(late.session, Buffer.from('x'), tolerateOverdue)),
      'string',
    )
  })

  it('give faults as numbers, at once or later, and reject nothing', async () => {
    const { session, keyBytes, id } = partition()
    const record = oracleEncrypt(keyBytes, { KeyId: id, Created: created }, Buffer.alloc(1000, 0xff))
    const parsed = JSON.parse(record) as ParsedRecord
    assert.equal(records.encryptOnPool(session, Buffer.alloc((64 << 20) + 1), 0), fault.tooLarge)
    assert.equal(records.decryptOnPool(session, '{}', 0), fault.recordMalformed)
    const foreign = oracleEncrypt(keyBytes, { KeyId: `${id}2`, Created: created }, Buffer.from('x'))
    assert.equal(records.decryptOnPool(session, foreign, 0), fault.recordForeign)
    assert.equal(await records.decryptStringOnPool(session, record, 0), fault.notUtf8)
    const cut = JSON.stringify({ ...parsed, Data: parsed.Data.slice(4) })
    assert.equal(await records.decryptOnPool(session, cut, 0), fault.dataAuthentication)
    assert.equal(await records.decryptOnPool(session, `${record}}`, 0), fault.recordMalformed)
    assert.equal(
      await records.decryptOnPool(session, record.replace('"Data":"', '"Data":"*'), 0),
      fault.recordMalformed,
    )
    const otherKey = { ...parsed, Key: { ...parsed.Key, Key: Buffer.alloc(60).toString('base64') } }
    assert.equal(await records.decryptOnPool(session, JSON.stringify(otherKey), 0), fault.keyAuthentication)
  })

  it('finish though the session is closed meanwhile; a closed ring is told', async () => {
    const { session, ring } = partition()
    const data = randomBytes(200_000)
    const record = text(records.encrypt(session, data, 0))
    const pending = [1, 2, 3, 4, 5, 6, 7, 8].map(() => records.decryptOnPool(session, record, 0))
    assert.equal(native.sessionClose(session), 0)
    for (const opened of await Promise.all(pending)) assert.deepEqual(opened, data)
    assert.equal(records.decryptOnPool(session, record, 0), fault.staleHandle)

    const second = partition()
    const sealing = Array.from({ length: 32 }, () => records.encryptOnPool(second.session, data, 0))
    native.ringClose(second.ring)
    for (const answer of await Promise.all(sealing)) {
      assert.ok(typeof answer === 'string' || answer === fault.closed, String(answer).slice(0, 20))
    }
    assert.equal(records.encryptOnPool(second.session, data, 0), fault.closed)
    native.ringClose(ring)
  })

  it('run sixty-four at a time with canaries that hold', async () => {
    const guarded = recordsWith({ canaries: true })
    const { session } = partition()
    native.takeCanaryFailures()
    const data = Array.from({ length: 64 }, (_, index) => Buffer.alloc(index * 3000, index))
    const sealed = await Promise.all(data.map((one) => guarded.encryptOnPool(session, one, 0)))
    const opened = await Promise.all(sealed.map((one) => guarded.decryptOnPool(session, text(one), 0)))
    for (const [index, one] of opened.entries()) {
      assert.deepEqual(one, data[index])
      native.clearPlaintext(bytes(one))
    }
    assert.equal(native.takeCanaryFailures(), 0)
  })
})

describe('faultError', () => {
  it('tells a status that slipped through as contention', () => {
    assert.equal(faultError(miss).code, 'ERR_KEY_CONTENTION')
  })
})
