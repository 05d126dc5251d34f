import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { serialisable } from '../../src/config/config.ts'
import { base, config, failure, rows, wrapper } from './resolving.ts'

describe('serialisable', () => {
  const sqlite = { ...base, metastore: 'sqlite', connectionString: '/x.db' }
  it('is plain data that another thread can build the same engine from', () => {
    const made = config({ ...sqlite, clock: { now: () => 0, monotonic: () => 0 }, regionSuffix: 'r' })
    const plain = serialisable(made)
    assert.deepEqual(structuredClone(plain), plain)
    const { clock: _, ...rest } = made
    assert.deepEqual(plain, rest)
    assert.notEqual(serialisable(config({ ...sqlite, metastore: new URL('file:///m.js') })), undefined)
    assert.notEqual(serialisable(config({ ...sqlite, kms: new URL('file:///k.js') })), undefined)
  })

  const unreachable: [string, object][] = [
    ['the memory metastore', base],
    ['SQLite in memory', { ...sqlite, connectionString: ':memory:' }],
    ['a metastore of the user’s', { ...sqlite, metastore: rows }],
    ['a KMS of the user’s', { ...sqlite, kms: wrapper }],
    ['a random key', { ...base, staticMasterKeyHex: undefined }],
  ]
  for (const [name, input] of unreachable) {
    it(`is undefined for ${name}`, () => assert.equal(serialisable(config(input)), undefined))
  }

  it('is undefined for a random key on any store', () => {
    assert.equal(serialisable({ ...config(sqlite), kms: { kind: 'static', key: 'random' } }), undefined)
  })
})

describe('secrets', () => {
  it('are never in a message', () => {
    const secret = fc
      .string({ unit: 'grapheme-ascii', minLength: 6, maxLength: 40 })
      .filter((text) => !/^\s|\s$/.test(text))
    const where = fc.constantFrom<(text: string) => object>(
      (text) => ({ staticMasterKeyHex: text, metastore: 'sqlite' }),
      (text) => ({ metastore: 'rdbms', connectionString: text }),
      (text) => ({ metastore: 'rdbms', connectionString: `user:${text}@host/db`, expireAfter: 0 }),
      (text) => ({ metastore: 'rdbms', connectionString: `postgres://user:${text}@host:x/db` }),
      (text) => ({ metastore: 'rdbms', connectionString: `mysql://user:${text}@host:x/db#` }),
      (text) => ({ metastore: 'rdbms', connectionString: `host=h password='${text} dbname=d` }),
      (text) => ({ metastore: `mysql://user:${text}@host/db` }),
      (text) => ({ kms: 'vault', vaultToken: text }),
      (text) => ({ kms: 'vault', vaultAddr: `https://user:${text}@vault` }),
      (text) => ({ kms: 'vault', vaultAuthMethod: 'approle', vaultApproleSecretId: text }),
      (text) => ({ kms: 'test-debug-static', staticMasterKeyHex: text }),
      (text) => ({
        connectionString: [text],
        vaultToken: { token: text },
        staticMasterKeyHex: new Map([[text, text]]),
      }),
    )
    const property = fc.property(secret, where, (text, place) => {
      const marked = `${text}§`
      const error = failure({ ...base, productId: undefined, ...place(marked) })
      assert.ok(!inspect(error, { depth: 9 }).includes(marked))
      assert.ok(!error.message.includes('§'))
    })
    fc.assert(property, { numRuns: 500 })
  })
})
