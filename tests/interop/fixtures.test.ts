import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { type AsherahConfig, type EnvelopeKeyRecord, type Metastore, SessionFactory } from 'asherah'
import { type FixtureCase, loadCases } from '../support/fixtures.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-fixtures-'))
after(() => rmSync(folder, { recursive: true }))

interface StoredKey {
  readonly Created: number
  readonly Key: string
  readonly Revoked?: boolean | null
  readonly ParentKeyMeta?: { readonly KeyId: string; readonly Created: number } | null
}

/** The case's rows behind the public interface, parsed here and not by the library. */
function metastoreOf(fixture: FixtureCase): Metastore {
  const rows = new Map<string, EnvelopeKeyRecord>()
  for (const { id, created, keyRecord } of fixture.rows) {
    const stored = JSON.parse(keyRecord) as StoredKey
    const parent = stored.ParentKeyMeta
    rows.set(`${created} ${id}`, {
      created: stored.Created,
      encryptedKey: Buffer.from(stored.Key, 'base64'),
      ...(parent ? { parentKeyMeta: { keyId: parent.KeyId, created: parent.Created } } : {}),
      ...(stored.Revoked ? { revoked: true } : {}),
    })
  }
  return {
    load: (keyId, created) => rows.get(`${created} ${keyId}`),
    loadLatest: () => assert.fail('reading needs no latest key'),
    store: () => assert.fail('reading writes nothing'),
  }
}

function configOf(
  fixture: FixtureCase,
  metastore: Pick<AsherahConfig, 'metastore' | 'connectionString'>,
): AsherahConfig {
  return {
    serviceName: fixture.service,
    productId: fixture.product,
    kms: 'static',
    staticMasterKeyHex: fixture.masterKeyHex,
    ...(fixture.regionSuffix === undefined ? {} : { regionSuffix: fixture.regionSuffix }),
    ...metastore,
  }
}

async function assertReads(fixture: FixtureCase, factory: SessionFactory): Promise<void> {
  const session = factory.getSession(fixture.partition)
  assert.equal(Buffer.compare(session.decrypt(fixture.record), fixture.plaintext), 0)
  assert.equal(Buffer.compare(await session.decryptAsync(Buffer.from(fixture.record)), fixture.plaintext), 0)
}

const cases = loadCases()

describe('every fixture of another implementation is read', () => {
  for (const fixture of cases) {
    test(`from a metastore object: ${fixture.writer} ${fixture.name}`, async () => {
      using factory = new SessionFactory(configOf(fixture, { metastore: metastoreOf(fixture) }))
      await assertReads(fixture, factory)
    })

    test(`from SQLite, written by SQL as the peers write: ${fixture.writer} ${fixture.name}`, async () => {
      const path = join(folder, `${cases.indexOf(fixture)}.db`)
      const config = configOf(fixture, { metastore: 'sqlite', connectionString: path })
      new SessionFactory(config).close()
      const database = new DatabaseSync(path)
      const insert = database.prepare("INSERT INTO encryption_key VALUES (?, datetime(?, 'unixepoch'), ?)")
      for (const { id, created, keyRecord } of fixture.rows) insert.run(id, created, keyRecord)
      database.close()
      using factory = new SessionFactory(config)
      await assertReads(fixture, factory)
    })
  }

  test('there are some of each kind', () => {
    for (const writer of new Set(cases.map((fixture) => fixture.writer))) {
      assert.ok(
        cases.some((fixture) => fixture.writer === writer),
        writer,
      )
    }
    assert.ok(cases.some((fixture) => fixture.regionSuffix !== undefined))
    assert.ok(cases.length >= 10)
  })
})
