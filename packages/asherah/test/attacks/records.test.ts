import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { AsherahSession } from '../../src/index.ts'
import { codeOf, ik, keyOf, World } from '../support/world.ts'
import { type Expected, type Loot, type Parts, recordAttacks } from './record-attacks.ts'

const sealedText = 'what was sealed'
const minute = 60_000

/** The most that one record may cause, whatever it says (`docs/threat-model.md`). */
const atMost = { 'load _IK': 1, 'load _SK': 1, decryptKey: 1 } as const

function assertBounded(
  calls: readonly string[],
  bound: Readonly<Record<string, number>>,
  what: string,
): void {
  const counts = Map.groupBy(calls, (call) => /^(?:load _IK|load _SK)?/.exec(call)?.[0] || call)
  for (const [kind, made] of counts)
    assert.ok(made.length <= (bound[kind] ?? 0), `${what}: ${calls.join(', ')}`)
}

async function outcome(decrypt: () => unknown): Promise<string> {
  try {
    return String(await decrypt())
  } catch (error) {
    const { code, name } = error as { code?: string; name?: string }
    assert.equal(name, 'AsherahError', String(error))
    return String(code).replace('ERR_', '')
  }
}

const waysIn: Record<string, (session: AsherahSession, record: string | Uint8Array) => unknown> = {
  decryptString: (session, record) => session.decryptString(record),
  decrypt: (session, record) => session.decrypt(record),
  decryptStringAsync: (session, record) => session.decryptStringAsync(record),
  decryptStringMany: async (session, record) => {
    const [, item] = session.decryptStringMany(['x', record])
    if (item?.error !== undefined) throw item.error
    return item?.text
  },
}

function looted(): { world: World; loot: Loot; rows: number } {
  const world = new World()
  const first = world.factory()
  const older = first.getSession('p').encryptString('older')
  world.revoke(ik('p'), keyOf(older))
  world.advance(5 * minute)
  const second = world.factory()
  const [mine, theirs] = [second.getSession('p'), second.getSession('q')]
  const record = mine.encryptString(sealedText)
  const sibling = mine.encryptString('sibling')
  const foreign = theirs.encryptString('another partition’s')
  assert.ok(keyOf(record) > keyOf(older) && keyOf(record) === keyOf(foreign))
  const parsed = (text: string): Parts => JSON.parse(text) as Parts
  const loot = { record, sibling: parsed(sibling), older: parsed(older), foreign: parsed(foreign) }
  return { world, loot, rows: countRows(world) }
}

function countRows(world: World): number {
  return [...world.rows.values()].reduce((sum, generations) => sum + generations.size, 0)
}

describe('a record', () => {
  const { world, loot, rows } = looted()
  const warm = world.factory().getSession('p')
  assert.equal(warm.decryptString(loot.record), sealedText)
  assert.equal(warm.decryptString(JSON.stringify(loot.older)), 'older')

  const judge = async (record: string | Uint8Array, what: string): Promise<Set<string>> => {
    const seen = new Set<string>()
    for (const [name, decrypt] of Object.entries(waysIn)) {
      for (const temperature of ['warm', 'cold'] as const) {
        using fresh = temperature === 'cold' ? world.factory() : undefined
        const session = fresh?.getSession('p') ?? warm
        world.takeCalls()
        seen.add(await outcome(() => decrypt(session, record)))
        assertBounded(world.takeCalls(), atMost, `${what}, ${temperature} ${name}`)
      }
    }
    assert.equal(countRows(world), rows, what)
    return seen
  }

  for (const [name, forge, expected] of recordAttacks) {
    test(`${name}: ${expected}`, async () => {
      assert.deepEqual([...(await judge(forge(loot), name))], [expected satisfies Expected])
    })
  }

  test('with any byte altered is what was sealed, or an error', async () => {
    const bytes = Buffer.from(loot.record)
    const errors = new Set<string>()
    using cold = world.factory()
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x20, 0x80]) {
        const forged = Buffer.from(bytes)
        forged.writeUInt8((bytes[at] ?? 0) ^ flip, at)
        for (const session of [warm, cold.getSession('p')]) {
          world.takeCalls()
          const seen = await outcome(() => session.decryptString(forged))
          if (seen !== sealedText) errors.add(seen)
          assertBounded(world.takeCalls(), atMost, forged.toString())
        }
      }
    }
    assert.deepEqual([...errors].sort(), [
      'KEY_NOT_FOUND',
      'RECORD_DATA_AUTHENTICATION',
      'RECORD_FOREIGN',
      'RECORD_KEY_AUTHENTICATION',
      'RECORD_MALFORMED',
    ])
    assert.equal(countRows(world), rows)
  })

  test('cut at any place is malformed', async () => {
    for (let length = 0; length < loot.record.length; length++) {
      assert.equal(await codeOf(() => warm.decrypt(loot.record.slice(0, length))), 'ERR_RECORD_MALFORMED')
    }
  })

  test('after all of it no prototype has a member more, and the session works', () => {
    assert.deepEqual(
      Object.getOwnPropertyNames(Object.prototype).filter((name) => /Data|isAdmin|Key/.test(name)),
      [],
    )
    assert.equal(warm.decryptString(warm.encryptString('well')), 'well')
  })
})

describe('a record of a factory with regions', () => {
  const world = new World()
  const regions = { regionSuffix: 'us-west-2', recoveryRegionSuffixes: ['eu-west-1', 'ap-east-1'] }
  const west = world.factory(regions)
  const europe = world.factory({ ...regions, regionSuffix: 'eu-west-1' })
  const record = west.getSession('p').encryptString('west')
  world.advance(5 * minute)
  const other = europe.getSession('p').encryptString('europe')
  const bound = { 'load _IK': 3, 'load _SK': 1, decryptKey: 1 }

  const relabelled = (from: string, keyId: string, created = keyOf(from)): string => {
    const parts = JSON.parse(from) as Parts
    Object.assign(parts.Key.ParentKeyMeta, { KeyId: keyId, Created: created })
    return JSON.stringify(parts)
  }
  for (const [name, forged, expected] of [
    // Recovery reads what another region wrote, under whichever region's id.
    ['the other region’s, as it is', other, 'europe'],
    ['the other region’s, named as ours', relabelled(other, `${ik('p')}_us-west-2`), 'europe'],
    ['ours, named as a region without it', relabelled(record, `${ik('p')}_ap-east-1`), 'KEY_NOT_FOUND'],
    [
      'ours, named as a region that is not configured',
      relabelled(record, `${ik('p')}_mars-1`),
      'KEY_NOT_FOUND',
    ],
    [
      'ours, at the other region’s time',
      relabelled(record, `${ik('p')}_eu-west-1`, keyOf(other)),
      'RECORD_KEY_AUTHENTICATION',
    ],
    ['ours, at no region’s time', relabelled(record, `${ik('p')}_us-west-2`, 60), 'KEY_NOT_FOUND'],
    ['ours, without a region', relabelled(record, ik('p')), 'KEY_NOT_FOUND'],
    ['with two regions', relabelled(record, `${ik('p')}_us-west-2_eu-west-1`), 'RECORD_FOREIGN'],
    ['of a partition that begins alike', relabelled(record, `${ik('p_x')}_us-west-2`), 'RECORD_FOREIGN'],
    ['of a product that begins alike', relabelled(record, `${ik('p')}2_us-west-2`), 'RECORD_FOREIGN'],
  ] as const) {
    test(`${name}: ${expected}`, async () => {
      const rows = countRows(world)
      for (const decrypt of Object.values(waysIn)) {
        using cold = world.factory(regions)
        world.takeCalls()
        assert.equal(await outcome(() => decrypt(cold.getSession('p'), forged)), expected)
        assertBounded(world.takeCalls(), bound, name)
      }
      assert.equal(countRows(world), rows)
    })
  }
})

test('a thousand records that name a thousand times cause one load each, and leave nothing in memory', async () => {
  const { world, loot } = looted()
  world.later = true
  using factory = world.factory()
  const session = factory.getSession('p')
  const parts = JSON.parse(loot.record) as Parts
  const forged = Array.from({ length: 1000 }, (_, index) => {
    parts.Key.ParentKeyMeta.Created = index
    return JSON.stringify(parts)
  })
  world.takeCalls()
  const codes = await Promise.all(forged.map((record) => codeOf(() => session.decryptAsync(record))))
  assert.deepEqual([...new Set(codes)], ['ERR_KEY_NOT_FOUND'])
  assert.deepEqual(world.takeCalls().sort(), forged.map((_, index) => `load _IK_p ${index}`).sort())
  assert.equal(factory.stats().ringKeys, 0)
})
