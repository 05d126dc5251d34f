import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type PeerFactory, PeerRefusal } from '../../support/servers/peer.ts'
import { closeAll, keyOf, type Participants, Peers, participants, peerFactory } from './participants.ts'
import { type SharedStore, stores } from './stores.ts'

/** Processes that run already see what another one, or an operator, does to the store. */

/** Seconds: keys are looked at again after one, and must have been after twice that. */
const checkInterval = 1
const pastTheBound = 2 * checkInterval * 1000 + 100

let peers: Peers

before(async () => {
  peers = await Peers.start()
})

after(() => peers.stop())

/** All four, each of which has a key in memory already. */
async function running(store: SharedStore): Promise<Participants> {
  const all = await participants(peers, store, { checkInterval })
  for (const one of Object.values(all)) await one.encrypt('busy', Buffer.from('warm'))
  return all
}

/** The key that each of ours encrypts with now. A peer may answer with what it holds once more. */
async function keysOfOurs(all: Participants, partition: string): Promise<readonly [number, number]> {
  const data = Buffer.from('which key?')
  const awaited = keyOf(await all.awaited.encrypt(partition, data))
  return [awaited.created, keyOf(await all.synchronous.encrypt(partition, data)).created]
}

/**
 * The Java library tells a lost race by an exception that PostgreSQL's driver does not throw, so that there the loser's
 * call fails (contract section 4.3); its next one succeeds.
 */
async function encryptAgain(one: PeerFactory, partition: string, data: Uint8Array): Promise<string> {
  try {
    return await one.encrypt(partition, data)
  } catch (error) {
    if (!(error instanceof PeerRefusal && error.message.includes('PSQLException: ERROR: duplicate key')))
      throw error
    return one.encrypt(partition, data)
  }
}

describe('beside each other', { timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(stores)) {
    test(`over ${name}: keys that one makes while the others run are adopted and read`, async (context) => {
      const store = await open()
      context.after(store.drop)
      const all = await running(store)
      for (const [writer, from] of Object.entries(all)) {
        const partition = `new-by-${writer}`
        const record = await from.encrypt(partition, Buffer.from(writer))
        for (const [reader, one] of Object.entries(all)) {
          assert.equal((await one.decrypt(partition, record)).toString(), writer, `read by ${reader}`)
          const own = await one.encrypt(partition, Buffer.from(reader))
          assert.deepEqual(keyOf(own), keyOf(record), `${reader} adopts the key that ${writer} made`)
          assert.equal((await from.decrypt(partition, own)).toString(), reader)
        }
      }
      await closeAll(all)
    })

    test(`over ${name}: all at once make one key`, async (context) => {
      const store = await open()
      context.after(store.drop)
      const all = await running(store)
      const partitions = Array.from({ length: 10 }, (_, index) => `contended-${index}`)
      for (const partition of partitions) {
        const records = await Promise.all(
          Object.values(all).map((one) => encryptAgain(one, partition, Buffer.from('at once'))),
        )
        for (const one of Object.values(all)) {
          for (const record of records) {
            assert.equal((await one.decrypt(partition, record)).toString(), 'at once')
          }
        }
      }
      const rows = (await store.rows()).filter(({ id }) => id.includes('contended'))
      const generations = new Map<string, number>()
      for (const { id } of rows) generations.set(id, (generations.get(id) ?? 0) + 1)
      assert.equal(generations.size, partitions.length)
      // A minute may end between two of them: then there are two generations, and all records are read all the same.
      assert.ok([...generations.values()].every((count) => count <= 2))
      assert.ok([...generations.values()].filter((count) => count === 2).length <= 1)
      await closeAll(all)
    })

    test(`over ${name}: a revoked key is out of use with us after twice the interval`, async (context) => {
      const store = await open()
      context.after(store.drop)
      const all = await running(store)
      const byPeer = await all.rust.encrypt('tenant', Buffer.from('before'))
      const revoked = keyOf(byPeer)
      assert.deepEqual(await keysOfOurs(all, 'tenant'), [revoked.created, revoked.created])

      await store.revoke(revoked.id, revoked.created)
      await sleep(pastTheBound)
      const [next, nextSynchronous] = await keysOfOurs(all, 'tenant')
      assert.ok(next > revoked.created, 'a new key')
      assert.equal(nextSynchronous, next, 'and one for both')
      for (const [reader, one] of Object.entries(all)) {
        assert.equal((await one.decrypt('tenant', byPeer)).toString(), 'before', `${reader} reads on`)
      }
      for (const peer of [peers.java, peers.rust]) {
        const later = await peerFactory(peer, store)
        const record = await later.encrypt('tenant', Buffer.from('after'))
        assert.equal(keyOf(record).created, next, `${peer.kind} takes the key that we made`)
        await later.close()
      }
      await closeAll(all)
    })

    test(`over ${name}: a revoked system key takes its intermediate keys with it`, async (context) => {
      const store = await open()
      context.after(store.drop)
      const all = await running(store)
      const byPeer = await all.java.encrypt('tenant', Buffer.from('before'))
      const before = keyOf(byPeer)
      await keysOfOurs(all, 'tenant')
      const [system, ...others] = (await store.rows()).filter(({ id }) => id.startsWith('_SK_'))
      assert.ok(system !== undefined && others.length === 0)

      await store.revoke(system.id, system.created)
      await sleep(pastTheBound)
      const [next, nextSynchronous] = await keysOfOurs(all, 'tenant')
      assert.ok(next > before.created)
      assert.equal(nextSynchronous, next)
      const row = (await store.rows()).find(({ id, created }) => id === before.id && created === next)
      assert.ok((row?.record.ParentKeyMeta?.Created ?? 0) > system.created, 'under a new system key')
      for (const [reader, one] of Object.entries(all)) {
        assert.equal((await one.decrypt('tenant', byPeer)).toString(), 'before', `${reader} reads on`)
      }
      await closeAll(all)
    })
  }
})
