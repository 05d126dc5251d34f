import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { runInNewContext } from 'node:vm'
import type { EnvelopeKeyRecord, KeyManagementService, Metastore } from '../../src/index.ts'
import { codeOf, ik, sk, World } from '../support/world.ts'

const mask = 0x5a

describe('a KMS', () => {
  test('that works in place and answers with the lent buffer stores what it made, not zeroes', () => {
    const world = new World()
    const kms: KeyManagementService = {
      encryptKey: (key) => {
        for (let at = 0; at < key.length; at++) key[at] = (key[at] ?? 0) ^ mask
        return key
      },
      decryptKey: (sealed) => Uint8Array.from(sealed, (byte) => byte ^ mask),
    }
    using factory = world.factory({ kms })
    const record = factory.getSession('p').encryptString('x')
    const [row] = world.rows.get(sk)?.values() ?? []
    assert.ok(row?.encryptedKey.some((byte) => byte !== 0))
    using other = world.factory({ kms })
    assert.equal(other.getSession('p').decryptString(record), 'x')
  })

  test('that keeps the buffer it answered with and uses it again changes no stored row', () => {
    const world = new World()
    const scratch = new Uint8Array(60)
    const kms: KeyManagementService = {
      ...world.kms,
      encryptKey: (key) => {
        scratch.set(world.kms.encryptKey(key) as Uint8Array)
        return scratch
      },
    }
    using factory = world.factory({ kms })
    const record = factory.getSession('p').encryptString('x')
    scratch.fill(0)
    using other = world.factory()
    assert.equal(other.getSession('p').decryptString(record), 'x')
  })

  test('that overwrites what it is given to open changes no stored row', () => {
    const world = new World()
    const kms: KeyManagementService = {
      ...world.kms,
      decryptKey: (sealed) => {
        const key = world.kms.decryptKey(sealed)
        sealed.fill(0)
        return key
      },
    }
    using first = world.factory()
    const record = first.getSession('p').encryptString('x')
    using second = world.factory({ kms })
    assert.equal(second.getSession('p').decryptString(record), 'x')
    using third = world.factory({ kms })
    assert.equal(third.getSession('p').decryptString(record), 'x')
  })

  test('that answers from a cache of buffers, which were overwritten, never has anything sealed under zeroes', async () => {
    const world = new World()
    using first = world.factory()
    const record = first.getSession('p').encryptString('x')
    const cache = new Map<string, Uint8Array>()
    const kms: KeyManagementService = {
      ...world.kms,
      decryptKey: (sealed) => {
        const name = Buffer.from(sealed).toString('hex')
        const key = cache.get(name) ?? (world.kms.decryptKey(sealed) as Uint8Array)
        cache.set(name, key)
        return key
      },
    }
    using second = world.factory({ kms })
    assert.equal(second.getSession('p').decryptString(record), 'x')
    using third = world.factory({ kms })
    world.takeCalls()
    assert.equal(await codeOf(() => third.getSession('p').encryptString('y')), 'ERR_KMS')
    assert.equal(await codeOf(() => third.getSession('q').encryptString('y')), 'ERR_KMS')
    assert.deepEqual(
      world.takeCalls().filter((call) => call.startsWith('store')),
      [],
    )
  })

  test('that throws at once, answers with nothing or with the wrong length gives a typed error', async () => {
    for (const answer of [
      () => {
        throw new Error('at once')
      },
      () => undefined as unknown as Uint8Array,
      () => new Uint8Array(0),
      () => 'text' as unknown as Uint8Array,
      async () => Promise.reject(undefined),
    ]) {
      const world = new World()
      using factory = world.factory({ kms: { ...world.kms, encryptKey: answer } })
      assert.equal(await codeOf(() => factory.getSession('p').encryptStringAsync('x')), 'ERR_KMS')
      assert.equal(world.rows.size, 0)
    }
  })
})

describe('a metastore', () => {
  test('whose revoked flag is no boolean is not taken for one that says "not revoked"', async () => {
    for (const revoked of [1, 'true', 'false', 0n]) {
      const world = new World()
      using writer = world.factory()
      const record = writer.getSession('p').encryptString('x')
      const [row] = world.rows.get(ik('p'))?.values() ?? []
      assert.ok(row)
      world.rows.get(ik('p'))?.set(row.created, { ...row, revoked: revoked as unknown as boolean })
      using reader = world.factory()
      const session = reader.getSession('p')
      assert.equal(
        await codeOf(() => session.encryptString('x')),
        'ERR_METASTORE_ROW_MALFORMED',
        String(revoked),
      )
      assert.equal(await codeOf(() => session.decryptString(record)), 'ERR_METASTORE_ROW_MALFORMED')
    }
  })

  test('that uses one row object and one buffer for all its answers gives each key its own bytes', async () => {
    const world = new World()
    using writer = world.factory()
    const record = writer.getSession('p').encryptString('x')
    const shared: { -readonly [Member in keyof EnvelopeKeyRecord]: EnvelopeKeyRecord[Member] } = {
      created: 0,
      encryptedKey: new Uint8Array(60),
    }
    const lend = (found: EnvelopeKeyRecord | undefined): EnvelopeKeyRecord | undefined => {
      if (found === undefined) return undefined
      shared.created = found.created
      shared.encryptedKey.set(found.encryptedKey)
      if (found.parentKeyMeta === undefined) delete shared.parentKeyMeta
      else shared.parentKeyMeta = found.parentKeyMeta
      return shared
    }
    const metastore: Metastore = {
      ...world.metastore,
      load: async (keyId, created) => lend(world.rows.get(keyId)?.get(created)),
      loadLatest: async (keyId) => lend(world.latestOf(keyId)),
    }
    world.advance(5 * 60_000)
    using reader = world.factory({ metastore })
    const session = reader.getSession('p')
    world.takeCalls()
    assert.equal(await session.decryptStringAsync(record), 'x')
    assert.ok(await session.encryptStringAsync('y'))
    assert.deepEqual(
      world.takeCalls().filter((call) => call.startsWith('store')),
      [],
    )
  })

  test('and a KMS may answer with bytes of another realm', () => {
    const world = new World()
    const Foreign = runInNewContext('Uint8Array') as Uint8ArrayConstructor
    const foreign = (bytes: Uint8Array): Uint8Array => new Foreign(bytes)
    const foreignRow = (row: EnvelopeKeyRecord | undefined): EnvelopeKeyRecord | undefined =>
      row && { ...row, encryptedKey: foreign(row.encryptedKey) }
    const metastore: Metastore = {
      ...world.metastore,
      load: (keyId, created) => foreignRow(world.rows.get(keyId)?.get(created)),
      loadLatest: (keyId) => foreignRow(world.latestOf(keyId)),
    }
    const kms: KeyManagementService = {
      encryptKey: (key) => foreign(world.kms.encryptKey(key) as Uint8Array),
      decryptKey: (key) => foreign(world.kms.decryptKey(key) as Uint8Array),
    }
    using one = world.factory({ metastore, kms })
    using other = world.factory({ metastore, kms })
    assert.equal(other.getSession('p').decryptString(one.getSession('p').encryptString('x')), 'x')
  })

  test('that answers with anything but a row gives a typed error and no new key', async () => {
    const good = { created: 1, encryptedKey: new Uint8Array(60) }
    for (const answer of [
      null,
      0,
      '',
      'row',
      [],
      {},
      { ...good, created: '1' },
      { ...good, encryptedKey: 'x' },
      () => good,
    ]) {
      const world = new World()
      const metastore = { ...world.metastore, loadLatest: () => answer as unknown as undefined }
      using factory = world.factory({ metastore })
      assert.equal(
        await codeOf(() => factory.getSession('p').encryptString('x')),
        'ERR_METASTORE_ROW_MALFORMED',
        JSON.stringify(answer),
      )
      assert.equal(world.rows.size, 0)
    }
  })

  test('that answers with any thenable is waited for', async () => {
    const world = new World()
    const thenable = <T>(value: T): PromiseLike<T> => ({
      // biome-ignore lint/suspicious/noThenProperty: the point of it.
      then: (resolve, reject) => Promise.resolve(value).then(resolve, reject),
    })
    const metastore: Metastore = {
      load: (keyId, created) => thenable(world.rows.get(keyId)?.get(created)),
      loadLatest: (keyId) => thenable(world.latestOf(keyId)),
      store: (keyId, _created, record) => thenable(world.insert(keyId, record)),
    }
    using factory = world.factory({ metastore })
    const session = factory.getSession('p')
    assert.equal(await session.decryptStringAsync(await session.encryptStringAsync('x')), 'x')
  })
})
