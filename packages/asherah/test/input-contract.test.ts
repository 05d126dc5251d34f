import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { AsherahSession, SessionFactory } from '../src/index.ts'
import { codeOf, ik, World } from './support/world.ts'

const world = new World()
const factory = world.factory()
const session = factory.getSession('p')
const record = session.encryptString('hello')

/** Both forms of each call: a wrong argument is thrown by the one and rejects the other, alike. */
async function bothCodes(
  method: 'encrypt' | 'encryptString' | 'decrypt' | 'decryptString',
  input: unknown,
): Promise<string | undefined> {
  const now = await codeOf(() => (session[method] as (input: unknown) => unknown)(input))
  const later = await codeOf(() => (session[`${method}Async`] as (input: unknown) => unknown)(input))
  assert.equal(now, later)
  return now
}

/** The record with one member changed by the function. */
function altered(
  change: (record: {
    Key: Record<string, unknown> & { ParentKeyMeta: Record<string, unknown> }
    Data: string
  }) => void,
): string {
  const parsed = JSON.parse(record)
  change(parsed)
  return JSON.stringify(parsed)
}

/** Base64 text with one bit flipped in one of its bytes. */
function flipped(base64: string, index: number): string {
  const bytes = Buffer.from(base64, 'base64')
  bytes[index] = (bytes[index] ?? 0) ^ 0x10
  return bytes.toString('base64')
}

describe('partition ids', () => {
  for (const [name, partition] of [
    ['null', null],
    ['undefined', undefined],
    ['a number', 7],
    ['an object', {}],
  ] as const) {
    test(`${name} is a TypeError`, () => {
      assert.throws(() => factory.getSession(partition as never), {
        name: 'TypeError',
        code: 'ERR_INVALID_ARG_TYPE',
      })
    })
  }

  test('empty, not well-formed, too long', async () => {
    assert.equal(await codeOf(() => factory.getSession('')), 'ERR_PARTITION_INVALID')
    assert.equal(await codeOf(() => factory.getSession('a\ud800b')), 'ERR_PARTITION_INVALID')
    assert.equal(await codeOf(() => factory.getSession('x'.repeat(5000))), 'ERR_PARTITION_UNSTORABLE')
    assert.equal(await codeOf(() => factory.warm([''])), 'ERR_PARTITION_INVALID')
  })

  for (const partition of [
    ' ',
    '\t\n',
    'a_b_c',
    '"quoted"\\',
    "o'brien",
    'nul\0nul',
    'grüße',
    '日本語',
    '😀',
    '<>&',
    'x'.repeat(4000),
  ]) {
    test(`${JSON.stringify(partition).slice(0, 20)} is kept as it is`, () => {
      const odd = factory.getSession(partition)
      const sealed = odd.encryptString('x')
      assert.equal(odd.decryptString(sealed), 'x')
      assert.equal(world.factory().getSession(partition).decryptString(Buffer.from(sealed)), 'x')
      assert.equal(
        (JSON.parse(sealed) as { Key: { ParentKeyMeta: { KeyId: string } } }).Key.ParentKeyMeta.KeyId,
        ik(partition),
      )
    })
  }
})

describe('data and text', () => {
  for (const input of [
    null,
    undefined,
    'text',
    7,
    {},
    [1, 2],
    new ArrayBuffer(3),
    new DataView(new ArrayBuffer(3)),
    new Uint16Array(2),
  ]) {
    test(`encrypt of ${Object.prototype.toString.call(input)} is a TypeError`, async () => {
      assert.equal(await bothCodes('encrypt', input), 'ERR_INVALID_ARG_TYPE')
    })
  }

  for (const input of [null, undefined, 7, {}, Buffer.from('x')]) {
    test(`encryptString of ${Object.prototype.toString.call(input)} is a TypeError`, async () => {
      assert.equal(await bothCodes('encryptString', input), 'ERR_INVALID_ARG_TYPE')
    })
  }

  test('empty data and text are real records', () => {
    for (const empty of [session.encrypt(new Uint8Array(0)), session.encryptString('')]) {
      assert.equal(Buffer.from((JSON.parse(empty) as { Data: string }).Data, 'base64').length, 28)
      assert.deepEqual(session.decrypt(empty), Buffer.alloc(0))
      assert.equal(session.decryptString(empty), '')
    }
  })

  test('all byte values, sizes around block and pool borders', () => {
    for (const size of [
      1, 15, 16, 17, 63, 64, 65, 255, 256, 4096, 16_383, 16_384, 16_385, 65_536, 1_000_003,
    ]) {
      const data = randomBytes(size)
      const opened = session.decrypt(session.encrypt(data))
      assert.ok(Buffer.isBuffer(opened))
      assert.equal(Buffer.compare(opened, data), 0, String(size))
    }
  })

  test('subarrays, Buffers of the shared pool and views on shared memory are read where they lie', () => {
    const bytes = new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 4)
    assert.deepEqual([...session.decrypt(session.encrypt(bytes))], [2, 3, 4])
    const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(7)
    assert.deepEqual([...session.decrypt(session.encrypt(shared))], [7, 7, 7])
  })

  test('text of any script comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        assert.equal(session.decryptString(session.encryptString(text)), text)
      }),
    )
  })

  test('a lone surrogate is refused', async () => {
    for (const text of ['\ud800', 'a\udc00', '\ud800\ud800', `${'x'.repeat(100_000)}\ud83d`]) {
      assert.equal(await bothCodes('encryptString', text), 'ERR_TEXT_MALFORMED')
    }
  })

  test('over 64 MiB is refused, 64 MiB comes back', { timeout: 120_000 }, async () => {
    const limit = 64 * 1024 * 1024
    assert.equal(await bothCodes('encrypt', new Uint8Array(limit + 1)), 'ERR_PAYLOAD_TOO_LARGE')
    const data = randomBytes(1024)
    const large = new Uint8Array(limit)
    for (let offset = 0; offset < limit; offset += 1024) large.set(data, offset)
    const sealed = await session.encryptAsync(large)
    assert.equal(Buffer.compare(await session.decryptAsync(sealed), large), 0)
    assert.equal(Buffer.compare(session.decrypt(sealed), large), 0)
  })
})

describe('records', () => {
  for (const input of [null, undefined, 7, {}, [], new ArrayBuffer(4)]) {
    test(`decrypt of ${Object.prototype.toString.call(input)} is a TypeError`, async () => {
      assert.equal(await bothCodes('decrypt', input), 'ERR_INVALID_ARG_TYPE')
      assert.equal(await bothCodes('decryptString', input), 'ERR_INVALID_ARG_TYPE')
    })
  }

  const malformed: [name: string, text: string][] = [
    ['empty', ''],
    ['not JSON', 'x'],
    ['null', 'null'],
    ['a list', '[]'],
    ['an empty object', '{}'],
    ['cut', record.slice(0, -1)],
    ['with something behind', `${record}x`],
    ['with a null key', altered((copy) => Object.assign(copy, { Key: null }))],
    ['without a key', altered((copy) => Reflect.deleteProperty(copy, 'Key'))],
    ['without data', altered((copy) => Reflect.deleteProperty(copy, 'Data'))],
    ['without a parent', altered((copy) => Reflect.deleteProperty(copy.Key, 'ParentKeyMeta'))],
    ['with a time that is text', altered((copy) => Object.assign(copy.Key.ParentKeyMeta, { Created: '1' }))],
    ['with a time that is no integer', record.replace(/"Created":(\d+)}}/, '"Created":$1.0}}')],
    ['with a member twice', record.replace('{"Key"', '{"Data":"","Key"')],
    [
      'with base64 without padding',
      altered((copy) => Object.assign(copy, { Data: `${copy.Data.replace(/=+$/, '')}A` })),
    ],
    ['with data that is too short', altered((copy) => Object.assign(copy, { Data: 'AAAA' }))],
    ['with a key that is too short', altered((copy) => Object.assign(copy.Key, { Key: 'AAAA' }))],
    ['names in another case', record.replace('"Data"', '"data"')],
    ['a two-byte text', `${record.slice(0, 5)}\u0141${record.slice(6)}`],
  ]
  for (const [name, text] of malformed) {
    test(`${name}: malformed`, async () => {
      assert.equal(await bothCodes('decrypt', text), 'ERR_RECORD_MALFORMED')
      assert.equal(await bothCodes('decryptString', Buffer.from(text)), 'ERR_RECORD_MALFORMED')
    })
  }

  test('of another partition, product or service: foreign, before anything is loaded', async () => {
    world.takeCalls()
    for (const other of [
      world.factory().getSession('q').encryptString('x'),
      world.factory({ productId: 'catalog2' }).getSession('p').encryptString('x'),
      world.factory({ serviceName: 'api2' }).getSession('p').encryptString('x'),
    ]) {
      world.takeCalls()
      assert.equal(await bothCodes('decrypt', other), 'ERR_RECORD_FOREIGN')
      assert.deepEqual(world.takeCalls(), [])
    }
  })

  test('any changed byte of Data or Key.Key has its own code', async () => {
    const length = Buffer.from((JSON.parse(record) as { Data: string }).Data, 'base64').length
    for (let index = 0; index < length; index++) {
      const data = altered((copy) => Object.assign(copy, { Data: flipped(copy.Data, index) }))
      assert.equal(await codeOf(() => session.decrypt(data)), 'ERR_RECORD_DATA_AUTHENTICATION')
    }
    for (let index = 0; index < 60; index++) {
      const key = altered((copy) => Object.assign(copy.Key, { Key: flipped(String(copy.Key['Key']), index) }))
      assert.equal(await codeOf(() => session.decrypt(key)), 'ERR_RECORD_KEY_AUTHENTICATION')
    }
  })

  test('what no tag covers changes nothing, or is a typed error; never other bytes', async () => {
    const harmless = [
      altered((copy) => Object.assign(copy.Key, { Created: 1 })),
      altered((copy) => Object.assign(copy.Key, { Revoked: true })),
      altered((copy) => Object.assign(copy, { Other: [{ deep: [1, 'x'] }], Note: 'x' })),
      record.replaceAll(':', ' :\n\t'),
      record.replace('"Data"', '"D\\u0061ta"').replace('_IK_p', '\\u005fIK_p'),
    ]
    for (const text of harmless) assert.equal(session.decryptString(text), 'hello', text)
    const second = session.encryptString('second')
    const swapped = altered((copy) =>
      Object.assign(copy, { Data: (JSON.parse(second) as { Data: string }).Data }),
    )
    assert.equal(await codeOf(() => session.decrypt(swapped)), 'ERR_RECORD_DATA_AUTHENTICATION')
    const codes = new Set([
      'ERR_RECORD_FOREIGN',
      'ERR_KEY_NOT_FOUND',
      'ERR_RECORD_MALFORMED',
      'ERR_RECORD_KEY_AUTHENTICATION',
    ])
    fc.assert(
      fc.property(fc.nat(record.length - 1), fc.integer({ min: 0x20, max: 0x7e }), (index, char) => {
        const text = record.slice(0, index) + String.fromCharCode(char) + record.slice(index + 1)
        try {
          assert.equal(session.decryptString(text), 'hello')
        } catch (error) {
          const { code } = error as { code?: string }
          assert.ok(code === 'ERR_RECORD_DATA_AUTHENTICATION' || codes.has(code ?? ''), `${code} ${text}`)
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('bytes that are no text: decrypt reads them, decryptString says so', async () => {
    const sealed = session.encrypt(new Uint8Array([0x66, 0xff, 0x66]))
    assert.equal(await bothCodes('decryptString', sealed), 'ERR_TEXT_NOT_UTF8')
    assert.deepEqual([...session.decrypt(sealed)], [0x66, 0xff, 0x66])
  })

  test('no refused call wrote a row or broke the session', () => {
    assert.ok(!world.takeCalls().some((call) => call.startsWith('store _IK_p ')))
    assert.equal(session.decryptString(session.encryptString('still well')), 'still well')
  })
})

describe('errors and what they show', () => {
  test('no message has the plaintext, the record or a key', async () => {
    const secret = 'tops3cret-plaintext'
    const sealed = session.encryptString(secret)
    const broken = sealed.replace(/"Data":"(.)/, (_, first: string) => `"Data":"${first === 'A' ? 'B' : 'A'}`)
    for (const call of [
      (): unknown => session.decrypt(broken),
      (): unknown => session.encryptString(`${secret}\ud800`),
      (): unknown => session.decrypt(sealed.slice(1)),
      (): unknown => session.encrypt(secret as never),
    ]) {
      assert.throws(call, (error: Error) => {
        const shown = `${error.message} ${error.stack} ${JSON.stringify(error)}`
        assert.ok(!shown.includes(secret) && !shown.includes(sealed.slice(30, 60)), shown)
        return true
      })
    }
  })
})

describe('a buffer that changes while an asynchronous call waits', () => {
  const cold = (): { fresh: AsherahSession; factory: SessionFactory } => {
    const other = new World()
    other.later = true
    const made = other.factory()
    return { fresh: made.getSession('p'), factory: made }
  }

  for (const size of [10, 1_000_000]) {
    test(`does not change what is sealed (${size} bytes, cold)`, async () => {
      const { fresh } = cold()
      const data = new Uint8Array(size).fill(1)
      const pending = fresh.encryptAsync(data)
      data.fill(2)
      assert.equal(Buffer.compare(await fresh.decryptAsync(await pending), Buffer.alloc(size, 1)), 0)
    })

    test(`does not change what is sealed or opened (${size} bytes, warm)`, async () => {
      const { fresh } = cold()
      await fresh.encryptStringAsync('warm')
      const data = new Uint8Array(size).fill(1)
      const pending = fresh.encryptAsync(data)
      structuredClone(data.buffer, { transfer: [data.buffer] })
      const bytes = Buffer.from(await pending)
      const opening = fresh.decryptAsync(bytes)
      bytes.fill(0)
      assert.equal(Buffer.compare(await opening, Buffer.alloc(size, 1)), 0)
    })
  }
})
