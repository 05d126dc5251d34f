import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type AsherahSession,
  clearPlaintext,
  decryptMany,
  decryptStringManyAsync,
  encryptMany,
  encryptStringMany,
  SessionFactory,
  setup,
  shutdown,
} from '../src/index.ts'
import { codeOf, productId, serviceName, World } from './support/world.ts'

type Form = 'encryptMany' | 'encryptStringMany' | 'decryptMany' | 'decryptStringMany'
interface Item {
  readonly error: (Error & { code?: string }) | undefined
  readonly record?: string | undefined
  readonly text?: string | undefined
  readonly data?: Buffer | undefined
}

/** Each form, synchronous and asynchronous, on the system's clock: the calls that go to the data plane together. */
const kinds: readonly (readonly [
  name: string,
  many: (session: AsherahSession, form: Form, inputs: unknown) => Promise<Item[]>,
])[] = [
  ['at once', async (session, form, inputs) => (session[form] as (inputs: unknown) => Item[])(inputs)],
  [
    'asynchronously',
    (session, form, inputs) => (session[`${form}Async`] as (inputs: unknown) => Promise<Item[]>)(inputs),
  ],
]

function factoryOf(world: World, more: object = {}): SessionFactory {
  return new SessionFactory({ serviceName, productId, metastore: world.metastore, kms: world.kms, ...more })
}

const codes = (items: readonly Item[]): (string | undefined)[] => items.map(({ error }) => error?.code)
const plain = (items: readonly Item[]): (string | undefined)[] =>
  items.map(({ data, text }) => data?.toString('latin1') ?? text)

for (const [kind, many] of kinds) {
  describe(`many ${kind}`, () => {
    const world = new World()
    const session = factoryOf(world).getSession('p')

    test('open to what one by one calls open to, in order', async () => {
      const datas = Array.from({ length: 3000 }, (_, index) => randomBytes(index % 300))
      const sealed = (await many(session, 'encryptMany', datas)).map(({ record = '' }) => record)
      assert.equal(new Set(sealed).size, datas.length)
      for (const [index, record] of sealed.entries()) assert.deepEqual(session.decrypt(record), datas[index])
      const own = datas.map((data) => session.encrypt(data))
      const items = await many(session, 'decryptMany', own)
      assert.deepEqual(
        items.map(({ data }) => data),
        datas,
      )
      assert.deepEqual(new Set(codes(items)), new Set([undefined]))
    })

    test('take texts, and records as text and as bytes', async () => {
      const texts = ['', 'ascii', 'grüße', '日本', '\0', 'x'.repeat(70_000)]
      const records = (await many(session, 'encryptStringMany', texts)).map(({ record = '' }, index) =>
        index % 2 === 0 ? record : Buffer.from(record),
      )
      assert.deepEqual(plain(await many(session, 'decryptStringMany', records)), texts)
      assert.deepEqual(
        (await many(session, 'decryptMany', records)).map(({ data }) => data?.toString()),
        texts,
      )
    })

    test('tell what is wrong with one item and do the others', async () => {
      const good = session.encryptString('good')
      const other = factoryOf(world).getSession('q').encryptString('other')
      const tampered = good.replace(/"Data":"(.)/, (_, first) => `"Data":"${first === 'A' ? 'B' : 'A'}`)
      const unknown = good.replace(/"Created":\d+\}\}/, '"Created":60}}')
      const binary = session.encrypt(Buffer.from([0xff]))
      const detached = Buffer.alloc(8)
      structuredClone(detached.buffer, { transfer: [detached.buffer] })
      const records = [
        good,
        other,
        tampered,
        unknown,
        null,
        7,
        'no record',
        detached,
        binary,
        undefined,
        good,
      ]
      assert.deepEqual(codes(await many(session, 'decryptStringMany', records)), [
        undefined,
        'ERR_RECORD_FOREIGN',
        'ERR_RECORD_DATA_AUTHENTICATION',
        'ERR_KEY_NOT_FOUND',
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_RECORD_MALFORMED',
        'ERR_INVALID_ARG_TYPE',
        'ERR_TEXT_NOT_UTF8',
        'ERR_INVALID_ARG_TYPE',
        undefined,
      ])
      const [, , , , none] = await many(session, 'decryptMany', records)
      assert.match(none?.error?.message ?? '', /^records\[4\] must be a string or a Uint8Array, not null$/)
      assert.equal(none?.data, undefined)
      const texts = ['a', 'lone \ud800', 5, 'b']
      assert.deepEqual(codes(await many(session, 'encryptStringMany', texts)), [
        undefined,
        'ERR_TEXT_MALFORMED',
        'ERR_INVALID_ARG_TYPE',
        undefined,
      ])
      const datas = [
        Buffer.from('a'),
        'text',
        new ArrayBuffer(2),
        new Uint8Array((64 << 20) + 1),
        new Uint8Array(1),
      ]
      assert.deepEqual(codes(await many(session, 'encryptMany', datas)), [
        undefined,
        'ERR_INVALID_ARG_TYPE',
        'ERR_INVALID_ARG_TYPE',
        'ERR_PAYLOAD_TOO_LARGE',
        undefined,
      ])
    })

    test('take an empty array, and refuse what is none', async () => {
      for (const form of ['encryptMany', 'encryptStringMany', 'decryptMany', 'decryptStringMany'] as const) {
        assert.deepEqual(await many(session, form, []), [])
        for (const inputs of [null, undefined, 'text', Buffer.from('x'), { length: 1 }, new Set()])
          assert.equal(await codeOf(() => many(session, form, inputs)), 'ERR_INVALID_ARG_TYPE')
      }
    })

    test('read an array that runs code once, before the first record', async () => {
      let reads = 0
      const odd = new Proxy([Buffer.from('one')], {
        get(target, name) {
          if (name === '0') {
            reads += 1
            session.encryptString('from inside')
          }
          return Reflect.get(target, name)
        },
      })
      const [item] = await many(session, 'encryptMany', odd)
      assert.equal(session.decryptString(item?.record ?? ''), 'one')
      assert.equal(reads, 1)
    })

    test('load each missing key once, and fail once for all items that need the same', async () => {
      const here = new World()
      here.later = kind === 'asynchronously'
      const old = factoryOf(here).getSession('p')
      const records = [
        ...(await old.encryptManyAsync([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')])),
      ].map(({ record = '' }) => record)
      const missing = records.map((record) => record.replace(/"Created":\d+\}\}/, '"Created":60}}'))
      here.takeCalls()
      const fresh = factoryOf(here).getSession('p')
      const items = await many(fresh, 'decryptStringMany', [...missing, ...records, ...missing])
      assert.deepEqual(codes(items), [
        ...missing.map(() => 'ERR_KEY_NOT_FOUND'),
        ...records.map(() => undefined),
        ...missing.map(() => 'ERR_KEY_NOT_FOUND'),
      ])
      const loads = here.takeCalls().filter((call) => call.startsWith('load _IK_p'))
      assert.equal(loads.length, new Set(loads).size, 'no key is loaded twice')
      assert.equal(loads.length, 2)

      const down = factoryOf(here).getSession('p')
      here.metastoreDown = true
      const refused = await many(down, 'encryptStringMany', ['a', 'b', 'c'])
      assert.deepEqual(codes(refused), ['ERR_METASTORE', 'ERR_METASTORE', 'ERR_METASTORE'])
      assert.equal(here.takeCalls().length, 1)
      here.metastoreDown = false
      assert.deepEqual(codes(await many(down, 'encryptStringMany', ['a'])), [undefined])
    })

    test('are refused by what is closed', async () => {
      const factory = factoryOf(world)
      const [closed, orphan] = [factory.getSession('p'), factory.getSession('q')]
      closed.close()
      assert.equal(await codeOf(() => many(closed, 'encryptStringMany', ['a'])), 'ERR_CLOSED')
      factory.close()
      assert.equal(await codeOf(() => many(orphan, 'decryptMany', [])), 'ERR_CLOSED')
    })

    test('start one check of a key that is due', async () => {
      const here = new World()
      const checking = factoryOf(here, { checkInterval: 2 }).getSession('p')
      const record = checking.encryptString('x')
      await delay(2_100)
      here.takeCalls()
      assert.deepEqual(
        codes(
          await many(
            checking,
            'encryptStringMany',
            Array.from({ length: 300 }, () => 'x'),
          ),
        ),
        Array.from({ length: 300 }, () => undefined),
      )
      await delay(50)
      assert.equal(here.takeCalls().filter((call) => call.startsWith('latest _IK_p')).length, 1)
      assert.deepEqual(plain(await many(checking, 'decryptMany', [record, record])), ['x', 'x'])
    })

    test('mix small and large, and more than one slab of results, each of which can be cleared', async () => {
      for (const options of [{}, { isolatedPlaintext: true }, { enableCanaries: true }]) {
        const here = factoryOf(world, options).getSession('p')
        const datas = [1 << 20, 10, 0, 16_000, 200_000, ...Array.from({ length: 40 }, () => 15_000)].map(
          (size) => randomBytes(size),
        )
        const sealed = (await many(here, 'encryptMany', datas)).map(({ record = '' }) => record)
        const items = await many(here, 'decryptMany', sealed)
        assert.deepEqual(
          items.map(({ data }) => data),
          datas,
        )
        const [first, ...others] = items
        clearPlaintext(first?.data)
        assert.deepEqual(first?.data, Buffer.alloc(1 << 20))
        assert.deepEqual(
          others.map(({ data }) => data),
          datas.slice(1),
        )
      }
    })
  })
}

test('a slab that its user detached in the middle of things is replaced', () => {
  const session = factoryOf(new World()).getSession('p')
  const records = Array.from({ length: 200 }, (_, index) => session.encryptString(`record ${index}`))
  const detached = session.decrypt(records[0] ?? '').buffer as ArrayBuffer
  detached.transfer()
  assert.deepEqual(
    plain(session.decryptMany(records)),
    records.map((_, index) => `record ${index}`),
  )
})

test('a long array gives the event loop its turns', async () => {
  const session = factoryOf(new World()).getSession('p')
  session.encryptString('the key is there')
  const texts = Array.from({ length: 100_000 }, () => 'x'.repeat(64))
  let turns = 0
  const timer = setInterval(() => {
    turns += 1
  }, 1)
  const items = await session.encryptStringManyAsync(texts)
  clearInterval(timer)
  assert.equal(items.length, texts.length)
  assert.ok(turns >= 3, `${turns} turns`)
})

test('closing lets an accepted batch finish', async () => {
  const world = new World()
  world.later = true
  const factory = factoryOf(world)
  const session = factory.getSession('p')
  const pending = session.encryptManyAsync([Buffer.from('small'), randomBytes(300_000), Buffer.from('small')])
  session.close()
  factory.close()
  assert.deepEqual(codes(await pending), [undefined, undefined, undefined])
})

test('an injected clock and a metrics hook see each record', async () => {
  const world = new World()
  const session = world.factory().getSession('p')
  const items = session.encryptStringMany(['a', 'b'])
  assert.deepEqual(plain(await session.decryptManyAsync(items.map(({ record = '' }) => record))), ['a', 'b'])
})

test('the module has them for its partitions', async () => {
  setup({ serviceName, productId, metastore: 'memory', kms: 'static' })
  try {
    const records = encryptStringMany('p', ['a', 'b']).map(({ record = '' }) => record)
    assert.deepEqual(plain(decryptMany('p', records)), ['a', 'b'])
    assert.deepEqual(codes(decryptMany('q', records)), ['ERR_RECORD_FOREIGN', 'ERR_RECORD_FOREIGN'])
    const [item] = encryptMany('p', [Buffer.from('c')])
    assert.deepEqual(plain(await decryptStringManyAsync('p', [item?.record ?? ''])), ['c'])
  } finally {
    shutdown()
  }
})
