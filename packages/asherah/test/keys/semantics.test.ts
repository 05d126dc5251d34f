import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { codeOf, day, ik, keyOf, minute, sk, World } from '../support/world.ts'

const interval = 60 * minute
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

describe('a cold partition', () => {
  test('makes one system key and one intermediate key, dated to the minute', () => {
    const world = new World(Date.UTC(2026, 5, 1, 12, 0, 59))
    const session = world.factory().getSession('p')
    const record = session.encryptString('hello')
    const created = Date.UTC(2026, 5, 1, 12, 0) / 1000
    assert.deepEqual(world.generations(ik('p')), [created])
    assert.deepEqual(world.generations(sk), [created])
    assert.deepEqual(world.rows.get(ik('p'))?.get(created)?.parentKeyMeta, { keyId: sk, created })
    assert.equal(world.rows.get(sk)?.get(created)?.parentKeyMeta, undefined)
    assert.deepEqual(world.takeCalls(), [
      'latest _IK_p',
      'latest _SK',
      'encryptKey',
      `store _SK ${created}`,
      `store _IK_p ${created}`,
    ])
    assert.equal(session.decryptString(record), 'hello')
    assert.deepEqual(world.takeCalls(), [])
  })

  test('of another process loads both and calls the KMS once', () => {
    const world = new World()
    const record = world.factory().getSession('p').encryptString('hello')
    world.takeCalls()
    const session = world.factory().getSession('p')
    assert.equal(session.decryptString(record), 'hello')
    const created = keyOf(record)
    assert.deepEqual(world.takeCalls(), [`load _IK_p ${created}`, `load _SK ${created}`, 'decryptKey'])
    assert.equal(keyOf(session.encryptString('more')), created)
    assert.deepEqual(world.takeCalls(), ['latest _IK_p'])
  })

  test('asked for by a thousand sessions at once causes one KMS call and one row each', async () => {
    const world = new World()
    world.later = true
    const factory = world.factory()
    const records = await Promise.all(
      Array.from({ length: 1000 }, (_, index) =>
        factory.getSession(`p${index % 10}`).encryptStringAsync('x'),
      ),
    )
    assert.equal(new Set(records).size, 1000)
    const calls = world.takeCalls()
    assert.equal(calls.filter((call) => call === 'encryptKey').length, 1)
    assert.equal(calls.filter((call) => call.startsWith('store _SK')).length, 1)
    assert.equal(calls.filter((call) => call.startsWith('store _IK')).length, 10)
    assert.equal(calls.length, 1 + 1 + 1 + 10 + 10)
  })
})

describe('expiry', () => {
  test('at exactly the expiry a new key is made, and the old record stays readable', () => {
    const world = new World(Date.UTC(2026, 5, 1, 12, 0, 0))
    const session = world.factory({ checkInterval: 365 * 86_400 }).getSession('p')
    const old = session.encryptString('old')
    world.advance(90 * day - 1)
    assert.equal(keyOf(session.encryptString('x')), keyOf(old))
    world.advance(1)
    const fresh = session.encryptString('new')
    assert.equal(keyOf(fresh), keyOf(old) + 90 * 86_400)
    assert.equal(session.decryptString(old), 'old')
    assert.equal(world.generations(sk).length, 2)
  })

  test('an intermediate key ends with its system key', () => {
    const world = new World()
    const factory = world.factory()
    factory.getSession('first').encryptString('makes the system key')
    world.advance(89 * day)
    const session = factory.getSession('p')
    const young = keyOf(session.encryptString('x'))
    world.advance(day)
    assert.ok(keyOf(session.encryptString('x')) > young)
    assert.equal(world.generations(sk).length, 2)
  })

  test('a key dated in the future is used as it is', () => {
    const world = new World()
    const session = world.factory().getSession('p')
    session.encryptString('x')
    world.clock.wallMs -= 7 * day
    const created = keyOf(world.factory().getSession('p').encryptString('x'))
    assert.deepEqual(world.generations(ik('p')), [created])
  })
})

describe('a check', () => {
  test('starts in the background between I and 2I, once, while the key is used', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const created = keyOf(session.encryptString('x'))
    world.takeCalls()
    world.advance(interval + minute)
    for (let call = 0; call < 10; call++) assert.equal(keyOf(session.encryptString('x')), created)
    assert.deepEqual(world.takeCalls(), [])
    await turn()
    assert.deepEqual(world.takeCalls(), ['latest _IK_p', `load _SK ${created}`])
    session.encryptString('x')
    await turn()
    assert.deepEqual(world.takeCalls(), [])
  })

  test('is waited for over 2I ago', () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const created = keyOf(session.encryptString('x'))
    world.takeCalls()
    world.advance(2 * interval)
    assert.equal(keyOf(session.encryptString('x')), created)
    assert.deepEqual(world.takeCalls(), ['latest _IK_p', `load _SK ${created}`])
  })

  test('adopts a newer key of another process', () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const old = keyOf(session.encryptString('x'))
    world.advance(10 * minute)
    world.revoke(ik('p'), old)
    const newer = keyOf(world.factory().getSession('p').encryptString('x'))
    assert.ok(newer > old)
    world.advance(2 * interval)
    assert.equal(keyOf(session.encryptString('x')), newer)
    assert.equal(world.generations(ik('p')).length, 2)
  })

  test('that fails in an outage lets the key serve on, without asking each time', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const record = session.encryptString('x')
    world.metastoreDown = true
    world.advance(3 * interval)
    world.takeCalls()
    for (let call = 0; call < 5; call++) assert.equal(keyOf(session.encryptString('x')), keyOf(record))
    assert.deepEqual(world.takeCalls(), ['latest _IK_p'])
    for (let call = 0; call < 5; call++) assert.equal(session.decryptString(record), 'x')
    assert.deepEqual(world.takeCalls(), [`load _IK_p ${keyOf(record)}`])
    world.advance(11_000)
    session.encryptString('x')
    assert.deepEqual(world.takeCalls(), ['latest _IK_p'])
  })

  test('drops a key whose row is gone: decryption fails within 2I', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const record = session.encryptString('x')
    world.remove(ik('p'), keyOf(record))
    world.advance(2 * interval)
    assert.equal(await codeOf(() => session.decryptString(record)), 'ERR_KEY_NOT_FOUND')
    assert.equal(await codeOf(() => session.decryptStringAsync(record)), 'ERR_KEY_NOT_FOUND')
    const fresh = session.encryptString('y')
    assert.equal(session.decryptString(fresh), 'y')
  })
})

describe('revocation', () => {
  test('of an intermediate key: not used for encryption after 2I, still decrypts', () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const record = session.encryptString('x')
    world.advance(5 * minute)
    world.revoke(ik('p'), keyOf(record))
    world.advance(2 * interval)
    assert.ok(keyOf(session.encryptString('x')) > keyOf(record))
    assert.equal(session.decryptString(record), 'x')
    assert.equal(world.factory().getSession('p').decryptString(record), 'x')
  })

  test('of a system key rotates both keys of all its partitions, by reading its row, without the KMS opening it again', () => {
    const world = new World()
    const factory = world.factory()
    const [one, other] = [factory.getSession('1'), factory.getSession('2')]
    const created = keyOf(one.encryptString('x'))
    other.encryptString('x')
    world.advance(5 * minute)
    world.revoke(sk, created)
    world.takeCalls()
    world.advance(2 * interval)
    const fresh = keyOf(one.encryptString('x'))
    assert.ok(fresh > created)
    assert.deepEqual(world.takeCalls(), [
      'latest _IK_1',
      `load _SK ${created}`,
      'latest _SK',
      'encryptKey',
      `store _SK ${fresh}`,
      `store _IK_1 ${fresh}`,
    ])
    assert.equal(keyOf(other.encryptString('x')), fresh)
    assert.deepEqual(world.takeCalls(), ['latest _IK_2', `store _IK_2 ${fresh}`])
  })

  test('of a system key: an intermediate key made under it late is looked at again as early as its parent', () => {
    const world = new World()
    const factory = world.factory()
    const created = keyOf(factory.getSession('first').encryptString('x'))
    world.revoke(sk, created)
    world.advance(0.85 * interval)
    const session = factory.getSession('late')
    assert.equal(keyOf(session.encryptString('x')), created + 51 * 60)
    world.advance(1.15 * interval)
    const fresh = keyOf(session.encryptString('x'))
    assert.ok(fresh > created + 51 * 60)
    const parent = world.rows.get(ik('late'))?.get(fresh)?.parentKeyMeta
    assert.deepEqual(parent, { keyId: sk, created: fresh })
  })

  test('within the minute of creation: the new key is dated after the revoked one, ours and for later processes', () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const old = keyOf(session.encryptString('x'))
    world.revoke(ik('p'), old)
    world.revoke(sk, old)
    world.advance(1000)
    const other = world.factory().getSession('p')
    assert.equal(keyOf(other.encryptString('x')), old + 60)
    assert.deepEqual(world.generations(sk), [old, old + 60])
    assert.equal(keyOf(world.factory().getSession('p').encryptString('x')), old + 60)
  })

  test('of a key dated far in the future is an error that says so, and nothing is written', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    world.clock.wallMs += 400 * day
    const ahead = keyOf(session.encryptString('x'))
    world.clock.wallMs -= 400 * day
    world.revoke(ik('p'), ahead)
    const rows = world.generations(ik('p')).length
    assert.equal(await codeOf(() => world.factory().getSession('p').encryptString('x')), 'ERR_KEY_TIME')
    assert.equal(world.generations(ik('p')).length, rows)
  })
})

describe('an outage makes no key blindly', () => {
  for (const later of [false, true]) {
    const how = later ? 'asynchronous' : 'synchronous'
    test(`metastore down, cold (${how})`, async () => {
      const world = new World()
      world.later = later
      world.metastoreDown = true
      const session = world.factory().getSession('p')
      assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_METASTORE')
      assert.equal(world.rows.size, 0)
      assert.ok(!world.takeCalls().some((call) => call.startsWith('store') || call === 'encryptKey'))
      world.metastoreDown = false
      assert.equal(await session.decryptStringAsync(await session.encryptStringAsync('x')), 'x')
    })

    test(`KMS down with a valid system key is an error, not a reason for a new one (${how})`, async () => {
      const world = new World()
      world.later = later
      await world.factory().getSession('p').encryptStringAsync('x')
      world.kmsDown = true
      const session = world.factory().getSession('p')
      assert.equal(await codeOf(() => session.encryptStringAsync('x')), 'ERR_KMS')
      assert.equal(world.generations(sk).length, 1)
      assert.equal(world.generations(ik('p')).length, 1)
    })
  }

  test('a key that is seen to be revoked does not serve on because no other can be made', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const old = keyOf(session.encryptString('x'))
    world.revoke(sk, old)
    world.kmsDown = true
    world.advance(2 * interval)
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_KMS')
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_KMS')
    world.kmsDown = false
    assert.ok(keyOf(session.encryptString('x')) > old)
  })

  test('an expired key is an error while the metastore is down', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const record = session.encryptString('x')
    world.advance(90 * day + minute)
    world.metastoreDown = true
    assert.equal(await codeOf(() => session.encryptString('x')), 'ERR_METASTORE')
    assert.equal(session.decryptString(record), 'x')
  })
})

describe('a lost race', () => {
  test('two processes in one minute make one row; the loser adopts the winner', () => {
    const world = new World()
    const other = world.factory().getSession('p')
    let record = ''
    world.beforeStore = (keyId) => {
      if (keyId !== ik('p')) return
      world.beforeStore = undefined
      record = other.encryptString('winner')
    }
    const session = world.factory().getSession('p')
    const ours = session.encryptString('loser')
    assert.equal(world.generations(ik('p')).length, 1)
    assert.equal(world.generations(sk).length, 1)
    assert.equal(session.decryptString(record), 'winner')
    assert.equal(other.decryptString(ours), 'loser')
  })

  test('a winner that is revoked at once is not adopted', () => {
    const world = new World()
    const other = world.factory().getSession('p')
    let winner = 0
    world.beforeStore = (keyId) => {
      if (keyId !== ik('p')) return
      world.beforeStore = undefined
      winner = keyOf(other.encryptString('winner'))
      world.revoke(keyId, winner)
    }
    const record = world.factory().getSession('p').encryptString('x')
    assert.equal(keyOf(record), winner + 60)
  })

  test('a store that fails after inserting (lost acknowledgement) is found out', () => {
    const world = new World()
    world.beforeStore = (keyId, _created, record) => {
      world.insert(keyId, record)
      throw new Error('the connection was lost')
    }
    const session = world.factory().getSession('p')
    assert.equal(session.decryptString(session.encryptString('x')), 'x')
    assert.equal(world.generations(ik('p')).length, 1)
  })

  test('a store that fails without inserting is passed on', async () => {
    const world = new World()
    world.beforeStore = () => {
      throw new Error('read-only')
    }
    assert.equal(await codeOf(() => world.factory().getSession('p').encryptString('x')), 'ERR_METASTORE')
    assert.equal(world.rows.size, 0)
  })

  test('lost for ever ends in an error after a bounded number of rows', async () => {
    const world = new World()
    world.beforeStore = (keyId, created, record) => {
      if (keyId !== ik('p')) return
      world.insert(keyId, record)
      world.revoke(keyId, created)
    }
    const code = await codeOf(() => world.factory().getSession('p').encryptString('x'))
    assert.ok(code === 'ERR_KEY_CONTENTION' || code === 'ERR_KEY_TIME', code)
    assert.ok(world.generations(ik('p')).length <= 6)
  })
})

describe('a damaged hierarchy', () => {
  test('parent row missing: a new intermediate key, and the old record is an error', async () => {
    const world = new World()
    const record = world.factory().getSession('p').encryptString('x')
    world.remove(sk, keyOf(record))
    world.advance(5 * minute)
    const session = world.factory().getSession('p')
    const fresh = session.encryptString('y')
    assert.ok(keyOf(fresh) > keyOf(record))
    assert.equal(session.decryptString(fresh), 'y')
    assert.equal(await codeOf(() => session.decryptString(record)), 'ERR_KEY_NOT_FOUND')
  })

  test('intermediate key that does not open: replaced on encrypt, an error on decrypt', async () => {
    const world = new World()
    const record = world.factory().getSession('p').encryptString('x')
    const created = keyOf(record)
    const row = world.rows.get(ik('p'))?.get(created)
    assert.ok(row)
    const encryptedKey = Uint8Array.from(row.encryptedKey, (byte, index) => (index === 3 ? byte ^ 1 : byte))
    world.rows.get(ik('p'))?.set(created, { ...row, encryptedKey })
    const session = world.factory().getSession('p')
    assert.equal(await codeOf(() => session.decryptString(record)), 'ERR_KEY_CORRUPT')
    const fresh = session.encryptString('y')
    assert.equal(keyOf(fresh), created + 60)
    assert.equal(session.decryptString(fresh), 'y')
  })

  test('a parent of another service is refused', async () => {
    const world = new World()
    const record = world.factory().getSession('p').encryptString('x')
    const created = keyOf(record)
    const row = world.rows.get(ik('p'))?.get(created)
    assert.ok(row)
    world.rows.get(ik('p'))?.set(created, { ...row, parentKeyMeta: { keyId: '_SK_other_catalog', created } })
    const session = world.factory().getSession('p')
    world.takeCalls()
    assert.equal(await codeOf(() => session.decryptString(record)), 'ERR_KEY_CORRUPT')
    assert.deepEqual(world.takeCalls(), [`load _IK_p ${created}`])
    assert.equal(keyOf(session.encryptString('y')), created + 60)
  })

  test('a row whose inner created is not its own is an error', async () => {
    const world = new World()
    const record = world.factory().getSession('p').encryptString('x')
    const created = keyOf(record)
    const row = world.rows.get(ik('p'))?.get(created)
    assert.ok(row)
    world.rows.get(ik('p'))?.set(created, { ...row, created: created - 60 })
    assert.equal(
      await codeOf(() => world.factory().getSession('p').decryptString(record)),
      'ERR_METASTORE_ROW_MALFORMED',
    )
  })
})

describe('what a record can cause', () => {
  test('an edited record costs at most one load, and never a write', async () => {
    const world = new World()
    const session = world.factory().getSession('p')
    const record = session.encryptString('x')
    world.takeCalls()
    const altered = record.replace(`"Created":${keyOf(record)}}}`, `"Created":${keyOf(record) + 60}}}`)
    assert.notEqual(altered, record)
    assert.equal(await codeOf(() => session.decryptString(altered)), 'ERR_KEY_NOT_FOUND')
    assert.deepEqual(world.takeCalls(), [`load _IK_p ${keyOf(record) + 60}`])
    const foreign = record.replace('_IK_p_', '_IK_q_')
    assert.equal(await codeOf(() => session.decryptString(foreign)), 'ERR_RECORD_FOREIGN')
    assert.deepEqual(world.takeCalls(), [])
  })

  test('with recovery suffixes: one exact load more for each, read only', async () => {
    const world = new World()
    const east = world.factory({ regionSuffix: 'us-east-1' })
    const record = east.getSession('p').encryptString('x')
    const moved = record.replace('_us-east-1"', '"')
    world.takeCalls()
    const plain = world.factory({ recoveryRegionSuffixes: ['eu-west-1', 'us-east-1'] }).getSession('p')
    assert.equal(plain.decryptString(moved), 'x')
    const created = keyOf(record)
    assert.deepEqual(world.takeCalls(), [
      `load _IK_p ${created}`,
      `load _IK_p_eu-west-1 ${created}`,
      `load _IK_p_us-east-1 ${created}`,
      `load _SK_us-east-1 ${created}`,
      'decryptKey',
    ])
    assert.equal(
      await codeOf(() => world.factory().getSession('p').decryptString(moved)),
      'ERR_KEY_NOT_FOUND',
    )
  })
})

describe('regions', () => {
  test('a suffixed session reads another region and the time before suffixes; keys follow the row, not the session', () => {
    const world = new World()
    const before = world.factory().getSession('p').encryptString('before')
    const east = world.factory({ regionSuffix: 'us-east-1' }).getSession('p').encryptString('east')
    const west = world.factory({ regionSuffix: 'us-west-2' }).getSession('p')
    assert.equal(west.decryptString(east), 'east')
    assert.equal(west.decryptString(before), 'before')
    west.encryptString('x')
    assert.equal(world.generations(`${sk}_us-west-2`).length, 1)
  })
})
