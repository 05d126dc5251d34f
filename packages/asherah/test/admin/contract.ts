import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DamagedRow, KeyRow } from '../../src/admin/key-row.ts'
import type { MetastoreAdmin } from '../../src/admin/metastore-admin.ts'
import { metastoreAdminOf } from '../../src/admin/open-admin.ts'
import type { MaybePromise } from '../../src/maybe-promise.ts'
import type { EnvelopeKeyRecord, Metastore } from '../../src/metastore/metastore.ts'

const minute = 60
const base = 1_795_315_800
const guardId = '__asherah_internal_config_drift_guard_v1__:1YmusY4XxGk9zjgmLbSpHcWQmmXiR0Pt-ng0JePJaPU'
const guardCreated = 946_684_800

/** A store made for one test, empty. The admin's `close` closes it. */
export interface StoreForAdmin {
  readonly store: Metastore
  /** Makes a row that cannot be understood, where other writers could. */
  damage?(keyId: string, created: number): MaybePromise<void>
  end(): MaybePromise<void>
}

function record(created: number, seed: number, more: Partial<EnvelopeKeyRecord> = {}): EnvelopeKeyRecord {
  const encryptedKey = Uint8Array.from({ length: 60 }, (_, index) => (seed * 31 + index * 7) & 0xff)
  return { created, encryptedKey, parentKeyMeta: { keyId: '_SK_api_catalog', created: base }, ...more }
}

async function all(
  admin: MetastoreAdmin,
  query: Parameters<MetastoreAdmin['rows']>[0] = {},
): Promise<KeyRow[]> {
  return collected(admin.rows(query))
}

async function collected(rows: AsyncIterable<KeyRow>): Promise<KeyRow[]> {
  const all: KeyRow[] = []
  for await (const row of rows) all.push(row)
  return all
}

function named(rows: readonly KeyRow[]): string[] {
  return rows.map(({ keyId, created }) => `${keyId} ${created}`).toSorted()
}

/** What every store must let an operator do; each backend's test file runs it. */
export function adminContract(name: string, makeStore: () => MaybePromise<StoreForAdmin>): void {
  const property = (
    title: string,
    body: (admin: MetastoreAdmin, store: Metastore, made: StoreForAdmin) => Promise<void>,
  ): void => {
    test(title, async () => {
      const made = await makeStore()
      const admin = await metastoreAdminOf(made.store)
      try {
        await body(admin, made.store, made)
      } finally {
        await admin.close()
        await made.end()
      }
    })
  }
  const rowOf = async (admin: MetastoreAdmin, keyId: string, created: number): Promise<KeyRow> => {
    const row = await admin.get(keyId, created)
    assert.ok(row !== undefined)
    return row
  }

  describe(`admin contract: ${name}`, () => {
    property('a list has every row once, whatever the size of its parts', async (admin, store) => {
      const ids = [
        '_SK_api_catalog',
        '_IK_a_api_catalog',
        '_IK_B_api_catalog',
        '_IK_日本語_api_catalog',
        '_IK_ü%_\\',
      ]
      const expected: string[] = []
      for (const [index, id] of ids.entries()) {
        for (let generation = 0; generation < 3; generation++) {
          const created = base + generation * minute
          await store.store(id, created, record(created, index * 3 + generation))
          expected.push(`${id} ${created}`)
        }
      }
      for (const limit of [1, 2, 3, 7, 15, 1000]) {
        assert.deepEqual(named(await all(admin, { limit })), expected.toSorted(), `parts of ${limit}`)
      }
      const [row] = await all(admin, { keyId: '_IK_a_api_catalog', limit: 1 })
      assert.deepEqual(row?.record, record(base, 3))
    })

    property('a prefix is exact, and so is an id', async (admin, store) => {
      const ids = ['_IK_a_x', '_IK_ab_x', '_IK_%_x', '_IK__x', '_IK_é_x', '_SK_a_x', "_IK_'_x"]
      for (const id of ids) await store.store(id, base, record(base, 1))
      const cases: readonly (readonly [string, readonly string[]])[] = [
        ['_IK_', ids.filter((id) => id.startsWith('_IK_'))],
        ['_IK_a', ['_IK_a_x', '_IK_ab_x']],
        ['_IK_%', ['_IK_%_x']],
        ['_IK_é', ['_IK_é_x']],
        ["_IK_'", ["_IK_'_x"]],
        ['', ids],
        ['nothing', []],
      ]
      for (const [prefix, expected] of cases) {
        const found = (await all(admin, { prefix, limit: 2 })).map(({ keyId }) => keyId)
        assert.deepEqual(found.toSorted(), expected.toSorted(), JSON.stringify(prefix))
      }
      assert.deepEqual(named(await all(admin, { keyId: '_IK_a_x' })), [`_IK_a_x ${base}`])
      assert.deepEqual(await all(admin, { keyId: '_IK_a' }), [])
    })

    property(
      'a revoked row is revoked for the library too, and nothing else of it changes',
      async (admin, store) => {
        await store.store('_IK_a', base, record(base, 1))
        await store.store('_IK_a', base + minute, record(base + minute, 2))
        assert.equal(await admin.markRevoked('_IK_a', base), 'revoked')
        assert.equal(await admin.markRevoked('_IK_a', base), 'already')
        assert.equal(await admin.markRevoked('_IK_a', base + 2 * minute), 'absent')
        assert.deepEqual(await store.load('_IK_a', base), record(base, 1, { revoked: true }))
        assert.deepEqual(await store.load('_IK_a', base + minute), record(base + minute, 2))
        assert.equal(await admin.markRevoked('_IK_a', base + minute), 'revoked')
        assert.deepEqual(await store.loadLatest('_IK_a'), record(base + minute, 2, { revoked: true }))
      },
    )

    property('a row is replaced only as it was read', async (admin, store) => {
      await store.store('_SK_a', base, { created: base, encryptedKey: Uint8Array.of(1, 2, 3) })
      const read = await rowOf(admin, '_SK_a', base)
      const [listed] = await all(admin, { keyId: '_SK_a' })
      assert.ok(listed !== undefined)
      const to = { created: base, encryptedKey: new Uint8Array(5000).fill(9) }
      assert.equal(await admin.replace(read, to), true)
      assert.deepEqual(await store.load('_SK_a', base), to)
      assert.equal(await admin.replace(listed, { ...to, encryptedKey: Uint8Array.of(7) }), false)
      assert.deepEqual(await store.load('_SK_a', base), to)
      const gone = await rowOf(admin, '_SK_a', base)
      assert.equal(await admin.remove('_SK_a', base), true)
      assert.equal(await admin.replace(gone, to), false)
      assert.equal(await store.load('_SK_a', base), undefined)
    })

    property('of many who replace one row at once, one succeeds', async (admin, store) => {
      await store.store('_SK_a', base, { created: base, encryptedKey: Uint8Array.of(0) })
      const row = await rowOf(admin, '_SK_a', base)
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, index) =>
          admin.replace(row, { created: base, encryptedKey: Uint8Array.of(index + 1) }),
        ),
      )
      assert.equal(outcomes.filter((done) => done).length, 1)
      assert.deepEqual(
        (await store.load('_SK_a', base))?.encryptedKey,
        Uint8Array.of(outcomes.indexOf(true) + 1),
      )
    })

    property('what is deleted is gone, and its neighbours are not', async (admin, store) => {
      for (let generation = 0; generation < 4; generation++) {
        const created = base + generation * minute
        await store.store('_IK_a', created, record(created, generation))
      }
      await store.store('_IK_b', base, record(base, 9))
      assert.equal(await admin.remove('_IK_a', base + minute), true)
      assert.equal(await admin.remove('_IK_a', base + minute), false)
      assert.equal(await store.load('_IK_a', base + minute), undefined)
      assert.equal(await admin.remove('_IK_a', base + 3 * minute), true)
      assert.equal((await store.loadLatest('_IK_a'))?.created, base + 2 * minute)
      assert.deepEqual(named(await all(admin)), [
        `_IK_a ${base}`,
        `_IK_a ${base + 2 * minute}`,
        `_IK_b ${base}`,
      ])
      assert.equal(await admin.remove('_IK_a', base), true)
      assert.equal(await admin.remove('_IK_a', base + 2 * minute), true)
      assert.equal(await store.loadLatest('_IK_a'), undefined)
      assert.equal(await store.store('_IK_a', base, record(base, 5)), true)
    })

    property('the reserved row is not seen and not changed', async (admin, store) => {
      const guard = { created: guardCreated, encryptedKey: new TextEncoder().encode('{"schema_version":1}') }
      await store.store(guardId, guardCreated, guard)
      await store.store('_SK_a', base, record(base, 1))
      assert.deepEqual(named(await all(admin)), [`_SK_a ${base}`])
      assert.deepEqual(await all(admin, { prefix: '__asherah' }), [])
      assert.deepEqual(await all(admin, { keyId: guardId }), [])
      assert.equal(await admin.get(guardId, guardCreated), undefined)
      assert.equal(await admin.markRevoked(guardId, guardCreated), 'absent')
      await assert.rejects(admin.remove(guardId, guardCreated), { code: 'ERR_METASTORE' })
      const row = await rowOf(admin, '_SK_a', base)
      await assert.rejects(admin.replace({ ...row, keyId: guardId, created: guardCreated }, guard), {
        code: 'ERR_METASTORE',
      })
      assert.deepEqual(await store.load(guardId, guardCreated), guard)
    })

    property(
      'a row that cannot be understood is told of, and hides no other',
      async (admin, store, { damage }) => {
        if (damage === undefined) return
        await store.store('_SK_a', base, record(base, 1))
        await damage('_SK_b', base)
        await store.store('_SK_c', base, record(base, 3))
        const damaged: DamagedRow[] = []
        const rows = await collected(admin.rows({ limit: 1 }, (row) => damaged.push(row)))
        assert.deepEqual(named(rows), [`_SK_a ${base}`, `_SK_c ${base}`])
        assert.deepEqual(
          damaged.map(({ keyId }) => keyId),
          ['_SK_b'],
        )
        await assert.rejects(admin.get('_SK_b', base), { code: 'ERR_METASTORE_ROW_MALFORMED' })
        assert.equal(await admin.remove('_SK_b', base), true)
      },
    )
  })
}
