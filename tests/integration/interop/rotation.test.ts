import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import {
  awaited,
  closeAll,
  keyOf,
  ourFactory,
  type Participants,
  Peers,
  participants,
  synchronous,
} from './participants.ts'
import { type SharedStore, stores } from './stores.ts'

/**
 * Rotation by either side. The peers know no clock but the system's, so keys are made old or young by ours: two hours ago,
 * and in two hours, where a key lasts one.
 */

const hour = 3600
const lasting = { expireAfter: hour }

let peers: Peers

before(async () => {
  peers = await Peers.start()
})

after(() => peers.stop())

/** The system's clock, so many seconds off. */
function clockAt(offset: number): { readonly clock: NonNullable<AsherahConfig['clock']> } {
  return { clock: { now: () => Date.now() + offset * 1000, monotonic: () => performance.now() } }
}

async function withAll(store: SharedStore, use: (all: Participants) => Promise<void>): Promise<void> {
  const all = await participants(peers, store, lasting)
  try {
    await use(all)
  } finally {
    await closeAll(all)
  }
}

async function parentOf(store: SharedStore, record: string): Promise<number> {
  const { id, created } = keyOf(record)
  const row = (await store.rows()).find((one) => one.id === id && one.created === created)
  assert.ok(row !== undefined, `${id} created ${created} is in the store`)
  assert.ok(row.record.ParentKeyMeta !== undefined)
  return row.record.ParentKeyMeta.Created
}

describe('rotation', { timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(stores)) {
    for (const rotator of ['java', 'rust', 'awaited', 'synchronous'] as const) {
      test(`by ${rotator} over ${name}: all go on with its keys and read the old records`, async (context) => {
        const store = await open()
        context.after(store.drop)
        const partition = 'tenant-42'

        const old = ourFactory(store, { ...lasting, ...clockAt(-2 * hour) })
        const first = await awaited(old).encrypt(partition, Buffer.from('first'))
        await old.closeAsync()

        let second = ''
        await withAll(store, async (all) => {
          // They run, and hold the old key, before one of them rotates.
          for (const one of Object.values(all)) {
            assert.equal((await one.decrypt(partition, first)).toString(), 'first')
          }
          second = await all[rotator].encrypt(partition, Buffer.from('second'))
          assert.ok(keyOf(second).created > keyOf(first).created + hour, 'a new key')
          for (const [other, one] of Object.entries(all)) {
            const record = await one.encrypt(partition, Buffer.from('with the new key'))
            assert.deepEqual(keyOf(record), keyOf(second), `${other} goes on with it`)
          }
        })
        assert.ok((await parentOf(store, second)) > (await parentOf(store, first)) + hour, 'a new system key')

        const young = ourFactory(store, { ...lasting, ...clockAt(2 * hour) })
        const one = rotator === 'synchronous' ? synchronous(young) : awaited(young)
        const third = await one.encrypt(partition, Buffer.from('third'))
        assert.ok(keyOf(third).created > keyOf(second).created + hour)
        for (const [text, record] of Object.entries({ first, second, third })) {
          assert.equal((await one.decrypt(partition, record)).toString(), text)
        }
        await young.closeAsync()

        await withAll(store, async (all) => {
          for (const [reader, one] of Object.entries(all)) {
            assert.deepEqual(keyOf(await one.encrypt(partition, Buffer.from(reader))), keyOf(third), reader)
            for (const [text, record] of Object.entries({ first, second, third })) {
              assert.equal((await one.decrypt(partition, record)).toString(), text, reader)
            }
          }
        })
        const rows = await store.rows()
        const generations = (kind: string) => rows.filter(({ id }) => id.startsWith(kind)).length
        assert.deepEqual([generations('_SK_'), generations('_IK_')], [3, 3])
      })
    }
  }
})
