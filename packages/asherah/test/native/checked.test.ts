import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { keyLength, unwrapAuthentication } from '../../src/native/binding.ts'
import { checked, faultError } from '../../src/native/checked.ts'

const status = readFileSync(join(import.meta.dirname, '../../../../native/core/src/status.rs'), 'utf8')
const faults = Array.from(
  status.matchAll(/^ {4}(\w+) = (-\d+),$/gm),
  ([, name, number]) => [name, Number(number)] as const,
)

const codes: Readonly<Record<string, string>> = {
  RecordMalformed: 'ERR_RECORD_MALFORMED',
  RecordForeign: 'ERR_RECORD_FOREIGN',
  DataAuthentication: 'ERR_RECORD_DATA_AUTHENTICATION',
  KeyAuthentication: 'ERR_RECORD_KEY_AUTHENTICATION',
  TooLarge: 'ERR_PAYLOAD_TOO_LARGE',
  NotUtf8: 'ERR_TEXT_NOT_UTF8',
  StaleHandle: 'ERR_CLOSED',
  Forked: 'ERR_MEMORY_FORKED',
  Wiped: 'ERR_MEMORY_WIPED',
  LockLimit: 'ERR_MEMORY_LOCK_LIMIT',
  Canary: 'ERR_MEMORY_CANARY',
  OutOfSlots: 'ERR_MEMORY_EXHAUSTED',
  Entropy: 'ERR_ENTROPY',
  Panic: 'ERR_NATIVE_FAILURE',
  Cipher: 'ERR_NATIVE_FAILURE',
  UnwrapAuthentication: 'ERR_KEY_CORRUPT',
  KeyLength: 'ERR_KEY_CORRUPT',
  Closed: 'ERR_CLOSED',
  Unavailable: 'ERR_MEMORY_EXHAUSTED',
  Hardening: 'ERR_HARDENING',
}

describe('checked', () => {
  it('has an error for every fault of the data plane, with something to do', () => {
    assert.ok(faults.length > 0)
    assert.deepEqual(faults.map(([name]) => name).toSorted(), Object.keys(codes).toSorted())
    for (const [name, number] of faults) {
      assert.throws(
        () => checked(number),
        { name: 'AsherahError', code: codes[name ?? ''], message: /[:;].+\.$/ },
        name,
      )
    }
  })

  it('knows by number what the control plane decides by', () => {
    const numbers = new Map(faults)
    assert.equal(unwrapAuthentication, numbers.get('UnwrapAuthentication'))
    assert.equal(keyLength, numbers.get('KeyLength'))
  })

  it('passes every other number, and names one that it does not know', () => {
    for (const number of [0, 1, 2 ** 40]) assert.equal(checked(number), number)
    assert.match(faultError(-99).message, /-99/)
    assert.equal(faultError(-99).code, 'ERR_NATIVE_FAILURE')
  })

  it('names the lock limit', () => {
    assert.match(faultError(-10).message, /The limit is (\d+ bytes|unknown)/)
  })
})
