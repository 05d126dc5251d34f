import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import {
  awaited,
  closeAll,
  keyOf,
  ourFactory,
  Peers,
  participants,
  peerFactory,
  synchronous,
  systemKeyId,
} from './participants.ts'
import { mariaDbStore, postgresStore, region, stores } from './stores.ts'

/** That we, the canonical Java library and the Rust one read each other's records over each other's keys. */

const payloads: Readonly<Record<string, Uint8Array>> = {
  empty: new Uint8Array(0),
  text: Buffer.from('mySuperSecretPayload, größer'),
  'all byte values': Uint8Array.from({ length: 256 }, (_, value) => value),
  '1 MB': randomBytes(1_000_000),
}

let peers: Peers

before(async () => {
  peers = await Peers.start()
})

after(() => peers.stop())

describe('ours and the peers', { timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(stores)) {
    test(`read each other over ${name}`, async (context) => {
      const store = await open()
      context.after(store.drop)
      const bridged = ourFactory(store)
      const all = { ...(await participants(peers, store)), synchronous: synchronous(bridged) }
      // Every writer makes the keys of one partition and meets those of another; ids with what SQL and JSON quote.
      const partitions = Object.keys(all).map((writer) => `by-${writer} 'größe' "\\`)
      for (const [index, [writer, from]] of Object.entries(all).entries()) {
        for (const [title, payload] of Object.entries(payloads)) {
          for (const partition of [partitions[index], partitions[(index + 1) % partitions.length]]) {
            assert.ok(partition !== undefined)
            const record = await from.encrypt(partition, payload)
            for (const [reader, to] of Object.entries(all)) {
              const opened = await to.decrypt(partition, record)
              assert.ok(opened.equals(payload), `${title}, written by ${writer}, read by ${reader}`)
            }
          }
        }
      }
      assert.ok(bridged.stats().misses > 0, 'synchronous calls had to load keys')
      const rows = await store.rows()
      const suffix = store.ours.enableRegionSuffix === true ? `_${region}` : ''
      const expected = [
        systemKeyId + suffix,
        ...partitions.map((partition) => `_IK_${partition}_api_catalog${suffix}`),
      ]
      // One generation of each: who came later took the key that was there.
      assert.deepEqual(rows.map(({ id }) => id).toSorted(), expected.toSorted())
      assert.equal(await store.guards(), 1, 'the guard row of the Rust peer is as it was')
      await closeAll(all)
    })
  }

  test('refuse each other’s records of another partition', async (context) => {
    const store = await mariaDbStore()
    context.after(store.drop)
    const all = await participants(peers, store)
    for (const from of Object.values(all)) {
      const record = await from.encrypt('one', Buffer.from('of one'))
      for (const to of Object.values(all)) {
        await to.encrypt('other', Buffer.from('has a key'))
        await assert.rejects(to.decrypt('other', record))
        await assert.rejects(to.decrypt('other', record.replace('_IK_one_', '_IK_other_')))
      }
    }
    await closeAll(all)
  })

  test('with a suffix of the factory’s own, ours on SQL is apart and reads what has none', async (context) => {
    const store = await postgresStore()
    context.after(store.drop)
    const peer = await peerFactory(peers.java, store)
    const plain = await peer.encrypt('tenant', Buffer.from('no suffix'))
    for (const one of [awaited, synchronous]) {
      const suffixed = one(ourFactory(store, { regionSuffix: 'eu-central-1' }))
      assert.equal((await suffixed.decrypt('tenant', plain)).toString(), 'no suffix')
      const record = await suffixed.encrypt('tenant', Buffer.from('with suffix'))
      assert.equal(keyOf(record).id, '_IK_tenant_api_catalog_eu-central-1')
      await assert.rejects(peer.decrypt('tenant', record))
      await suffixed.close()
    }
    await peer.close()
  })
})
