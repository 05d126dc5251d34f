import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createDynamoDbTable } from '../../support/servers/dynamodb.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createKmsKeys } from '../../support/servers/moto.ts'
import {
  Peer,
  type PeerFactory,
  type PeerKms,
  type PeerMetastore,
  PeerRefusal,
  testMasterKey,
} from '../../support/servers/peer.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'

/** That the peers work and read each other, so that a failure beside the library is the library's. */

const { dynamodb, mariadb, moto, postgres } = testServers()
const staticKms: PeerKms = { kind: 'static', key: testMasterKey }

const payloads: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  text: Buffer.from('mySuperSecretPayload, größer'),
  'all byte values': Uint8Array.from({ length: 256 }, (_, value) => value),
  '1 MB': randomBytes(1_000_000),
}

interface Store {
  readonly metastore: PeerMetastore
  drop(): Promise<void>
}

const stores: Readonly<Record<string, () => Promise<Store>>> = {
  'PostgreSQL, JSONB': async () => {
    const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB' })
    const { host, port, limited } = postgres
    return {
      metastore: { kind: 'postgres', host, port, database: database.name, ...limited },
      drop: database.drop,
    }
  },
  'MariaDB, TEXT': async () => {
    const database = await createMariaDbDatabase(mariadb)
    const { host, port, limited } = mariadb
    return {
      metastore: { kind: 'mysql', host, port, database: database.name, ...limited },
      drop: database.drop,
    }
  },
  DynamoDB: () => dynamoDbStore(false),
  'DynamoDB, region suffix': () => dynamoDbStore(true),
}

async function dynamoDbStore(regionSuffix: boolean): Promise<Store> {
  const table = await createDynamoDbTable(dynamodb.endpoint)
  const { endpoint, region, name } = table
  return { metastore: { kind: 'dynamodb', endpoint, region, table: name, regionSuffix }, drop: table.drop }
}

let java: Peer
let rust: Peer

before(async () => {
  const options = { awsEndpoint: moto.endpoint }
  const both = await Promise.all([Peer.start('java', options), Peer.start('rust', options)])
  java = both[0]
  rust = both[1]
})

after(async () => {
  await Promise.all([java.stop(), rust.stop()])
})

async function factories(
  metastore: PeerMetastore,
  kms: PeerKms,
): Promise<readonly [PeerFactory, PeerFactory]> {
  const config = { service: 'api', product: 'catalog', metastore, kms }
  return [await java.configure(config), await rust.configure(config)]
}

describe('the peers', { timeout: 120_000 }, () => {
  for (const [name, open] of Object.entries(stores)) {
    test(`read each other over ${name}`, async (context) => {
      const { metastore, drop } = await open()
      context.after(drop)
      const [one, other] = await factories(metastore, staticKms)
      for (const [title, payload] of Object.entries(payloads)) {
        for (const [partition, from, to] of [
          ['by-java', one, other],
          ['by-rust', other, one],
        ] as const) {
          const record = await from.encrypt(partition, payload)
          for (const reader of [from, to]) {
            assert.ok((await reader.decrypt(partition, record)).equals(payload), `${partition}: ${title}`)
          }
        }
      }
      const record = await one.encrypt('by-java', Buffer.from('mine'))
      if (metastore.kind === 'dynamodb') assert.equal(record.includes('_us-west-2'), metastore.regionSuffix)
      await assert.rejects(other.decrypt('by-rust', record), PeerRefusal)
      await Promise.all([one.close(), other.close()])
    })
  }

  test('read each other with AWS KMS in two regions', async (context) => {
    const { metastore, drop } = await dynamoDbStore(false)
    context.after(drop)
    const regionMap = await createKmsKeys(moto.endpoint, ['us-west-2', 'us-east-1'])
    const kms: PeerKms = { kind: 'aws', regionMap, preferredRegion: 'us-west-2' }
    const [one, other] = await factories(metastore, kms)
    const byJava = await one.encrypt('a', Buffer.from('by Java'))
    assert.equal((await other.decrypt('a', byJava)).toString(), 'by Java')
    const elsewhere = await rust.configure({
      service: 'api',
      product: 'catalog',
      metastore,
      kms: { ...kms, preferredRegion: 'us-east-1' },
      ignoreDrift: true,
    })
    assert.equal((await elsewhere.decrypt('a', byJava)).toString(), 'by Java')
    const byRust = await elsewhere.encrypt('b', Buffer.from('by Rust'))
    assert.equal((await one.decrypt('b', byRust)).toString(), 'by Rust')
  })

  test('refuse in words, and stay in service', async () => {
    for (const peer of [java, rust]) {
      const factory = await peer.configure({
        service: 'api',
        product: 'catalog',
        metastore: { kind: 'memory' },
        kms: { kind: 'static', key: 'another key of thirty-two bytes.' },
      })
      await assert.rejects(factory.decrypt('a', '{}'), PeerRefusal)
      const record = await factory.encrypt('a', Buffer.from('fine'))
      assert.equal((await factory.decrypt('a', record)).toString(), 'fine')
    }
  })
})
