import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EnvelopeKeyRecord, Metastore } from '../../src/index.ts'
import { ik, keyOf, sealRecord, sk, World } from '../support/world.ts'

type Row = { -readonly [Member in keyof EnvelopeKeyRecord]: EnvelopeKeyRecord[Member] }

const minute = 60_000
const text = 'of partition p'

/** The text, or the code of the error, which must be a typed one. */
async function outcome(call: () => unknown): Promise<string> {
  try {
    return String(await call())
  } catch (error) {
    const { code, name } = error as { code?: string; name?: string }
    assert.equal(name, 'AsherahError', String(error))
    return String(code).replace('ERR_', '')
  }
}

function countRows(world: World): number {
  return [...world.rows.values()].reduce((sum, generations) => sum + generations.size, 0)
}

interface Scene {
  readonly world: World
  /** Of partitions `p` and `q`, and of `p` under an older key. */
  readonly record: string
  readonly foreign: string
  readonly older: string
}

function scene(): Scene {
  const world = new World()
  const older = world.factory().getSession('p').encryptString(text)
  world.revoke(ik('p'), keyOf(older))
  world.revoke(sk, keyOf(older))
  world.advance(5 * minute)
  const factory = world.factory()
  const record = factory.getSession('p').encryptString(text)
  const foreign = factory.getSession('q').encryptString('of partition q')
  return { world, record, foreign, older }
}

/** What a poisoned row does to reading, and whether a new key takes its place for writing. */
type Poison = readonly [
  name: string,
  poison: (row: Row, scene: Scene) => unknown,
  reading: string,
  writing: 'the same key' | 'a new key' | string,
]

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))
const rowOf = ({ world }: Scene, id: string, record: string): EnvelopeKeyRecord => {
  const row = world.rows.get(id)?.get(keyOf(record))
  assert.ok(row)
  return row
}
const malformed = 'METASTORE_ROW_MALFORMED'

/** Of either kind of row: what no engine may take for a key. */
const unreadable: readonly Poison[] = [
  ...(
    [
      ['null', null],
      ['a text', 'row'],
      ['a list', []],
      ['nothing of a row', {}],
      ['a function', () => undefined],
    ] as const
  ).map(([name, value]): Poison => [name, () => value, malformed, malformed]),
  ...[1.5, Number.NaN, '1', null, undefined, 1n, 2 ** 53].map(
    (created): Poison => [`created ${String(created)}`, (row) => ({ ...row, created }), malformed, malformed],
  ),
  ...[
    'x',
    null,
    undefined,
    7,
    [1],
    new ArrayBuffer(60),
    new Uint16Array(30),
    new DataView(new ArrayBuffer(60)),
  ].map(
    (encryptedKey): Poison => [
      `encryptedKey ${Object.prototype.toString.call(encryptedKey)}`,
      (row) => ({ ...row, encryptedKey }),
      malformed,
      malformed,
    ],
  ),
  [
    'an encryptedKey of 512 MiB',
    (row) => ({ ...row, encryptedKey: new Uint8Array(2 ** 29) }),
    malformed,
    malformed,
  ],
  ...[1, 'false', {}, 0n].map(
    (revoked): Poison => [
      `revoked ${typeof revoked} ${revoked}`,
      (row) => ({ ...row, revoked }),
      malformed,
      malformed,
    ],
  ),
  ...['x', 7, true, [], {}, { keyId: 1, created: 1 }, { keyId: sk }, { keyId: sk, created: '1' }].map(
    (parentKeyMeta): Poison => [
      `parentKeyMeta ${JSON.stringify(parentKeyMeta)}`,
      (row) => ({ ...row, parentKeyMeta }),
      malformed,
      malformed,
    ],
  ),
  [
    'members that throw',
    (row) =>
      Object.defineProperty({ ...row }, 'encryptedKey', {
        get: () => {
          throw new Error('from the row')
        },
      }),
    malformed,
    malformed,
  ],
  [
    'a parent that throws',
    (row) => ({
      ...row,
      parentKeyMeta: new Proxy(
        {},
        {
          get: () => {
            throw new TypeError('from the parent')
          },
        },
      ),
    }),
    malformed,
    malformed,
  ],
]

const ikPoisons: readonly Poison[] = [
  ...unreadable,
  ['as it is, of no prototype', (row) => Object.assign(Object.create(null), row), text, 'the same key'],
  [
    'as it is, frozen, with more members',
    (row) => Object.freeze({ ...row, __proto__: null, x: 1 }),
    text,
    'the same key',
  ],
  ['revoked', (row) => ({ ...row, revoked: true }), text, 'a new key'],
  // `loadLatest` says by its answer alone when the key was made.
  ['of another time', (row) => ({ ...row, created: row.created - 60 }), malformed, 'another key'],
  ...Array.from(
    { length: 60 },
    (_, at): Poison => [
      `with byte ${at} of its key flipped`,
      (row) => ({ ...row, encryptedKey: flipped(row.encryptedKey, at) }),
      'KEY_CORRUPT',
      'a new key',
    ],
  ),
  ...[0, 1, 28, 59, 61, 64 * 1024].map(
    (length): Poison => [
      `with a key of ${length} bytes`,
      (row) => ({ ...row, encryptedKey: Uint8Array.from({ length }, (_, at) => row.encryptedKey[at] ?? 0) }),
      'KEY_CORRUPT',
      'a new key',
    ],
  ),
  [
    'with the key of another partition',
    (row, at) => ({ ...row, encryptedKey: rowOf(at, ik('q'), at.foreign).encryptedKey }),
    'RECORD_KEY_AUTHENTICATION',
    'another key',
  ],
  [
    'another partition’s row',
    (_, at) => rowOf(at, ik('q'), at.foreign),
    'RECORD_KEY_AUTHENTICATION',
    'another key',
  ],
  ['the system key’s row', (_, at) => rowOf(at, sk, at.record), 'KEY_CORRUPT', 'a new key'],
  [
    'with the system key’s bytes',
    (row, at) => ({ ...row, encryptedKey: rowOf(at, sk, at.record).encryptedKey }),
    'KEY_CORRUPT',
    'a new key',
  ],
  ['an older generation’s row', (_, at) => rowOf(at, ik('p'), at.older), malformed, malformed],
  ['without a parent', (row) => ({ ...row, parentKeyMeta: undefined }), 'KEY_CORRUPT', 'a new key'],
  [
    'whose parent is itself',
    (row) => ({ ...row, parentKeyMeta: { keyId: ik('p'), created: row.created } }),
    'KEY_CORRUPT',
    'a new key',
  ],
  ...[
    `${sk}2`,
    `${sk}_eu-west-1`,
    '_SK_billing_catalog',
    '',
    '__proto__',
    sk.toLowerCase(),
    'x'.repeat(1 << 24),
  ].map(
    (keyId): Poison => [
      `whose parent is ${keyId.slice(0, 30)}`,
      (row) => ({ ...row, parentKeyMeta: { keyId, created: row.created } }),
      'KEY_CORRUPT',
      'a new key',
    ],
  ),
  [
    'whose parent is of no time',
    (row) => ({ ...row, parentKeyMeta: { keyId: sk, created: 60 } }),
    'KEY_NOT_FOUND',
    'a new key',
  ],
  [
    'whose parent is of an older time',
    (row, { older }) => ({ ...row, parentKeyMeta: { keyId: sk, created: keyOf(older) } }),
    'KEY_CORRUPT',
    'a new key',
  ],
]

const skPoisons: readonly Poison[] = [
  ...unreadable,
  ['revoked', (row) => ({ ...row, revoked: true }), text, 'a new key'],
  ['of another time', (row) => ({ ...row, created: row.created - 60 }), malformed, malformed],
  [
    'with a byte of its key flipped',
    (row) => ({ ...row, encryptedKey: flipped(row.encryptedKey, 5) }),
    'KMS',
    'KMS',
  ],
  ['without any bytes', (row) => ({ ...row, encryptedKey: new Uint8Array(0) }), 'KMS', 'KMS'],
  ['an older generation’s row', (_, at) => rowOf(at, sk, at.older), malformed, malformed],
  [
    'an older generation’s bytes',
    (row, at) => ({ ...row, encryptedKey: rowOf(at, sk, at.older).encryptedKey }),
    'KEY_CORRUPT',
    'a new key',
  ],
  ['an intermediate key’s row', (_, at) => rowOf(at, ik('p'), at.record), 'KMS', 'KMS'],
  [
    'whose parent is itself',
    (row) => ({ ...row, parentKeyMeta: { keyId: sk, created: row.created } }),
    text,
    'the same key',
  ],
  [
    'whose parent is its child',
    (row) => ({ ...row, parentKeyMeta: { keyId: ik('p'), created: row.created } }),
    text,
    'the same key',
  ],
]

for (const [kind, keyId, poisons] of [
  ['an intermediate key', ik('p'), ikPoisons],
  ['a system key', sk, skPoisons],
] as const) {
  describe(`the row of ${kind}`, () => {
    for (const [name, poison, reading, writing] of poisons) {
      for (const later of [false, true]) {
        test(`${name}: reading gives ${reading}, writing ${writing}${later ? ', later' : ''}`, async () => {
          const at = scene()
          const { world, record } = at
          const created = keyOf(record)
          world.rows
            .get(keyId)
            ?.set(created, poison({ ...rowOf(at, keyId, record) }, at) as EnvelopeKeyRecord)
          const before = new Map([...world.rows].map(([id, generations]) => [id, new Map(generations)]))
          const sealedBefore = world.rows.get(ik('p'))?.get(created)
          const rows = countRows(world)
          world.later = later
          // Its own `loadLatest` picks by the row's `created`; this one by the row's place, as a database does.
          const metastore: Metastore = {
            ...world.metastore,
            loadLatest: (id) => world.metastore.load(id, Math.max(...world.generations(id))),
          }

          using reader = world.factory({ metastore })
          world.takeCalls()
          assert.equal(await outcome(() => reader.getSession('p').decryptStringAsync(record)), reading)
          const calls = world.takeCalls()
          assert.ok(calls.filter((call) => call.startsWith('load _IK')).length <= 1, calls.join())
          assert.ok(calls.filter((call) => call.startsWith('load _SK')).length <= 1, calls.join())
          assert.ok(calls.filter((call) => call === 'decryptKey').length <= 1, calls.join())
          assert.ok(!calls.some((call) => /^(store|latest|encryptKey)/.test(call)), calls.join())

          using writer = world.factory({ metastore })
          const written = await outcome(() => writer.getSession('p').encryptStringAsync('new'))
          const made = world.takeCalls().filter((call) => call.startsWith('store'))
          if (writing === 'the same key' || writing === 'another key' || writing === 'a new key') {
            assert.equal(keyOf(written) > created, writing === 'a new key')
            assert.equal(made.length > 0, writing === 'a new key')
            assert.equal(writer.getSession('p').decryptString(written), 'new')
            if (writing === 'a new key') assert.equal(world.readRecord(written), 'new')
          } else {
            assert.equal(written, writing)
            assert.equal(countRows(world), rows)
          }
          for (const [id, generations] of before) {
            for (const [time, row] of generations) assert.equal(world.rows.get(id)?.get(time), row)
          }
          assert.equal(world.rows.get(ik('p'))?.get(created), sealedBefore)
        })
      }
    }
  })
}

test('a KMS that answers with more than a row can hold is an error, and nothing is stored', async () => {
  const world = new World()
  const kms = { ...world.kms, encryptKey: () => new Uint8Array(64 * 1024 + 1) }
  using factory = world.factory({ kms })
  assert.equal(await outcome(() => factory.getSession('p').encryptStringAsync('x')), malformed)
  assert.equal(world.rows.size, 0)
})

describe('a metastore that lies', () => {
  test('about another id, to every question, gives nobody another’s plaintext', async () => {
    const at = scene()
    const { world, record, foreign } = at
    const metastore: Metastore = {
      ...world.metastore,
      load: (id, created) => world.metastore.load(id === ik('p') ? ik('q') : id, created),
      loadLatest: (id) => world.metastore.loadLatest(id === ik('p') ? ik('q') : id),
    }
    using factory = world.factory({ metastore })
    const session = factory.getSession('p')
    assert.equal(await outcome(() => session.decryptString(foreign)), 'RECORD_FOREIGN')
    assert.equal(await outcome(() => session.decryptString(record)), 'RECORD_KEY_AUTHENTICATION')
  })

  test('about what it stored is found out when it is asked next, not before', async () => {
    const world = new World()
    using factory = world.factory({ metastore: { ...world.metastore, store: () => true } })
    const session = factory.getSession('p')
    const record = session.encryptString('lost')
    assert.equal(session.decryptString(record), 'lost')
    assert.equal(await outcome(() => world.factory().getSession('p').decryptString(record)), 'KEY_NOT_FOUND')
  })

  test('and answers with what throws when it is looked at is an error of the metastore', async () => {
    const world = new World()
    const trap = new Proxy(
      {},
      {
        get: () => {
          throw new Error('from the answer')
        },
      },
    )
    const lie = (() => trap) as unknown as Metastore['loadLatest']
    using factory = world.factory({ metastore: { ...world.metastore, loadLatest: lie } })
    assert.equal(await outcome(() => factory.getSession('p').encryptStringAsync('x')), 'METASTORE')
    assert.equal(world.rows.size, 0)
  })

  test('by a key dated as far ahead as numbers go seals records that are read again', async () => {
    const at = scene()
    const { world } = at
    const row = { ...rowOf(at, ik('p'), at.record), created: Number.MAX_SAFE_INTEGER }
    world.insert(ik('p'), row)
    using factory = world.factory()
    const session = factory.getSession('p')
    const record = session.encryptString('far ahead')
    assert.equal(keyOf(record), Number.MAX_SAFE_INTEGER)
    assert.equal(session.decryptString(record), 'far ahead')
    assert.equal(world.factory().getSession('p').decryptString(record), 'far ahead')
  })

  test('hand in hand with an edited record moves a plaintext between partitions: the format binds no key to its id', () => {
    // AES-GCM without additional data (contract section 2.1): docs/threat-model.md names this as not kept out.
    const at = scene()
    const { world, foreign } = at
    const q = rowOf(at, ik('q'), foreign)
    const moved = foreign.replace('_IK_q_', '_IK_p_')
    world.rows.get(ik('p'))?.set(q.created, q)
    assert.equal(world.factory().getSession('p').decryptString(moved), 'of partition q')
  })

  test('and a forged key of the attacker’s own is no key: the system key is not theirs', async () => {
    const at = scene()
    const { world, record } = at
    const own = new Uint8Array(32).fill(7)
    const forged = sealRecord('forged', ik('p'), keyOf(record), own)
    assert.equal(
      await outcome(() => world.factory().getSession('p').decryptString(forged)),
      'RECORD_KEY_AUTHENTICATION',
    )
    // A system key row that another master key wrapped, in case the KMS would take it.
    world.rows.get(sk)?.set(keyOf(record), { created: keyOf(record), encryptedKey: world.wrap(own, true) })
    assert.equal(await outcome(() => world.factory().getSession('p').decryptString(forged)), 'KMS')
  })
})

// Each goes on trying for two seconds.
describe('a metastore that lies about having stored', { concurrency: true }, () => {
  for (const answer of [undefined, null, 1, 'true', {}, []] as const) {
    test(`a store that answers ${JSON.stringify(answer)} has not stored`, async () => {
      const world = new World()
      const store = (() => answer) as unknown as Metastore['store']
      using factory = world.factory({ metastore: { ...world.metastore, store } })
      assert.equal(await outcome(() => factory.getSession('p').encryptStringAsync('x')), 'KEY_CONTENTION')
      assert.ok(world.takeCalls().length < 200)
    })
  }
})
