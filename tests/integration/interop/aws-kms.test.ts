import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionFactory } from '../../../packages/asherah/src/index.ts'
import { createKmsKeys } from '../../support/servers/moto.ts'
import type { Peer, PeerFactory, PeerKms } from '../../support/servers/peer.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { awaited, closeAll, ourFactory, Peers, peerFactory, synchronous } from './participants.ts'
import { dynamoDbStore, mariaDbStore, postgresStore, type SharedStore } from './stores.ts'

/** System keys under AWS KMS in two regions, by whoever wrapped them (contract section 2.5.1). */

const west = 'us-west-2'
const east = 'us-east-1'
const both = [west, east]

let peers: Peers

before(async () => {
  peers = await Peers.start()
})

after(() => peers.stop())

type Arns = Readonly<Record<string, string>>

/** The part of the map that a process with only these regions has, the first one preferred. */
function regionsOf(arns: Arns, [preferredRegion = '', ...others]: readonly string[]) {
  const regionMap = Object.fromEntries([preferredRegion, ...others].map((name) => [name, arns[name] ?? '']))
  return { regionMap, preferredRegion }
}

function ours(store: SharedStore, arns: Arns, regions: readonly string[]): SessionFactory {
  return ourFactory(store, { kms: 'aws', ...regionsOf(arns, regions) })
}

function theirs(
  peer: Peer,
  store: SharedStore,
  arns: Arns,
  regions: readonly string[],
): Promise<PeerFactory> {
  const kms: PeerKms = { kind: 'aws', ...regionsOf(arns, regions) }
  // Other regions are other settings to the Rust peer's guard.
  return peerFactory(peer, store, { kms, ignoreDrift: true })
}

interface Envelope {
  readonly encryptedKey: string
  readonly kmsKeks: readonly {
    readonly region: string
    readonly arn: string
    readonly encryptedKek: string
  }[]
}

async function envelopeOf(store: SharedStore): Promise<Envelope> {
  const [row, ...others] = (await store.rows()).filter(({ id }) => id.startsWith('_SK_'))
  assert.ok(row !== undefined && others.length === 0, 'one system key')
  return JSON.parse(Buffer.from(row.record.Key, 'base64').toString()) as Envelope
}

/** Every way to open a system key: either region first, and each region alone. */
const readings = [[west, east], [east, west], [west], [east]]

const stores = {
  'PostgreSQL, JSONB': () => postgresStore(),
  MariaDB: () => mariaDbStore(),
  DynamoDB: () => dynamoDbStore(),
}
const writers = {
  java: (store: SharedStore, arns: Arns) => theirs(peers.java, store, arns, both),
  rust: (store: SharedStore, arns: Arns) => theirs(peers.rust, store, arns, both),
  'ours, awaited': async (store: SharedStore, arns: Arns) => awaited(ours(store, arns, both)),
  'ours, synchronous': async (store: SharedStore, arns: Arns) => synchronous(ours(store, arns, both)),
}

describe('system keys under AWS KMS in two regions', { timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(stores)) {
    for (const [writer, make] of Object.entries(writers)) {
      test(`written by ${writer} over ${name} are opened by all, in either region`, async (context) => {
        const store = await open()
        context.after(store.drop)
        const arns = await createKmsKeys(testServers().moto.endpoint, both)
        const from = await make(store, arns)
        const record = await from.encrypt('tenant', Buffer.from('sealed'))

        const { encryptedKey, kmsKeks } = await envelopeOf(store)
        assert.equal(Buffer.from(encryptedKey, 'base64').length, 60)
        assert.deepEqual(kmsKeks.map(({ region }) => region).toSorted(), both.toSorted())
        for (const { region, arn, encryptedKek } of kmsKeks) {
          assert.equal(arn, arns[region])
          assert.ok(Buffer.from(encryptedKek, 'base64').length > 32)
        }

        for (const regions of readings) {
          const all = {
            java: await theirs(peers.java, store, arns, regions),
            rust: await theirs(peers.rust, store, arns, regions),
            awaited: awaited(ours(store, arns, regions)),
            synchronous: synchronous(ours(store, arns, regions)),
          }
          for (const [reader, one] of Object.entries(all)) {
            const where = `${reader} in ${regions.join(', ')}`
            assert.equal((await one.decrypt('tenant', record)).toString(), 'sealed', where)
            const own = await one.encrypt('tenant', Buffer.from(where))
            assert.equal((await from.decrypt('tenant', own)).toString(), where)
          }
          await closeAll(all)
        }
        // Nobody took a system key that could not be opened for an absent one.
        await envelopeOf(store)
        await from.close()
      })
    }
  }

  test('another master key opens nothing, and nothing is replaced', async (context) => {
    const store = await postgresStore()
    context.after(store.drop)
    const { endpoint } = testServers().moto
    const [arns, others] = [await createKmsKeys(endpoint, both), await createKmsKeys(endpoint, both)]
    const peer = await theirs(peers.java, store, arns, both)
    const record = await peer.encrypt('tenant', Buffer.from('sealed'))
    const stranger = ours(store, { ...others, [east]: `${others[east]}0` }, [east])
    for (const one of [awaited(stranger), synchronous(stranger)]) {
      await assert.rejects(one.encrypt('tenant', Buffer.from('x')), { code: 'ERR_KMS' })
      await assert.rejects(one.decrypt('tenant', record), { code: 'ERR_KMS' })
    }
    assert.equal((await store.rows()).length, 2)
    await Promise.all([stranger.closeAsync(), peer.close()])
  })
})
