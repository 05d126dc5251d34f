import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { AsherahError } from '../../src/errors.ts'
import type { MaybePromise } from '../../src/maybe-promise.ts'
import type { EnvelopeKeyRecord, Metastore } from '../../src/metastore/metastore.ts'

/** A store made for one test, empty, and what the test needs beside it. */
export interface StoreUnderTest {
  readonly store: Metastore
  /** Puts a row past the store, as another writer would. Answers false when the backend itself refuses the text. */
  insertRaw?(keyId: string, created: number, text: string): MaybePromise<boolean>
  /** What the {@link ContractOptions.contender} module needs to open the same store in another process. */
  readonly argument?: string
  /** Removes what was made. The store may be closed already. */
  end(): MaybePromise<void>
}

export interface ContractOptions {
  /** The first and the last second that a row can have; rows outside are refused. Absent: no bound. */
  readonly range?: readonly [first: number, last: number]
  /** Whether the store has a `close`. */
  readonly closes: boolean
  /** Whether rows are kept as text that others could have written, so that {@link StoreUnderTest.insertRaw} exists. */
  readonly keepsText: boolean
  /** For stores that processes can share: the URL of a module that exports `openStore(argument): MaybePromise<Metastore>`. */
  readonly contender?: string
  /** Runs of the property that compares the store to a model; 50 unless said. */
  readonly runs?: number
}

const minute = 60
const base = 1_795_315_800

const distinctIds: readonly string[] = [
  '_SK_api_catalog',
  '_SK_api_Catalog',
  '_sk_api_catalog',
  '_SK_api_catalog ',
  ' _SK_api_catalog',
  '_SK_api_catalog_us-west-2',
  '_SK_api%catalog',
  '_IK_%_api_catalog',
  '_IK_tenant-42_api_catalog',
  '_IK_tenant-4_api_catalog',
  "_IK_o'Brien_api_catalog",
  `_IK_"quoted"_api_catalog`,
  '_IK_back\\slash_api_catalog',
  '_IK_<>&_api_catalog',
  '_IK_tab\tline\nreturn\r_api_catalog',
  '_IK_\u{e9}_api_catalog',
  '_IK_e\u{301}_api_catalog',
  '_IK_\u{1f511}\u{1f9ff}_api_catalog',
  '_IK_\u{2028}\u{2029}_api_catalog',
  '_IK_日本語_api_catalog',
  '_IK_ß_api_catalog',
  '_IK_ss_api_catalog',
  '_IK_ı_api_catalog',
  '_IK_i_api_catalog',
  '_IK_:id$1?_api_catalog',
  '_IK_; DROP TABLE encryption_key; --_api_catalog',
  '_IK___proto___api_catalog',
  '__proto__',
  'constructor',
  `_IK_${'p'.repeat(180)}_api_catalog`,
  `_IK_${'p'.repeat(179)}q_api_catalog`,
]

/** A row whose bytes are told from those of another `seed`. */
export function sampleRecord(
  created: number,
  seed: number,
  more: Partial<EnvelopeKeyRecord> = {},
): EnvelopeKeyRecord {
  const encryptedKey = Uint8Array.from({ length: 60 }, (_, index) => (seed * 31 + index * 7) & 0xff)
  return { created, encryptedKey, parentKeyMeta: { keyId: '_SK_api_catalog', created: base }, ...more }
}

function call<T>(run: () => MaybePromise<T>): Promise<T> {
  return Promise.resolve().then(run)
}

function isCode(...codes: AsherahError['code'][]) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError, `an AsherahError, not ${String(error)}`)
    assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`)
    return true
  }
}

/** What every metastore must do; each backend's test file runs it. */
export function metastoreContract(
  name: string,
  makeStore: () => MaybePromise<StoreUnderTest>,
  options: ContractOptions,
): void {
  const property = (title: string, body: (made: StoreUnderTest) => Promise<void>): void => {
    test(title, async () => {
      const made = await makeStore()
      try {
        await body(made)
      } finally {
        await made.end()
      }
    })
  }

  describe(`metastore contract: ${name}`, () => {
    property('a row comes back as it was stored', async ({ store }) => {
      const rows: EnvelopeKeyRecord[] = [
        sampleRecord(base, 1),
        { created: base + minute, encryptedKey: Uint8Array.of(0) },
        sampleRecord(base + 2 * minute, 2, { revoked: true }),
        { created: base + 3 * minute, encryptedKey: Buffer.from('vault:v1:AAAA'), revoked: true },
        { created: base + 4 * minute, encryptedKey: new Uint8Array(20_000).fill(0xfb) },
        sampleRecord(base + 5 * minute, 3, { parentKeyMeta: { keyId: '_SK_"é\\\u{1f511}<&>', created: 0 } }),
      ]
      for (const row of rows) assert.equal(await store.store('_IK_a', row.created, row), true)
      for (const row of rows) {
        const loaded = await store.load('_IK_a', row.created)
        assert.deepEqual(loaded, { ...row, encryptedKey: new Uint8Array(row.encryptedKey) })
      }
      assert.deepEqual(await store.loadLatest('_IK_a'), rows.at(-1))
    })

    property('revoked false is the same as absent', async ({ store }) => {
      await store.store('_IK_a', base, sampleRecord(base, 1, { revoked: false }))
      assert.notEqual((await store.load('_IK_a', base))?.revoked, true)
    })

    property('what is not there is undefined', async ({ store }) => {
      assert.equal(await store.load('_IK_a', base), undefined)
      assert.equal(await store.loadLatest('_IK_a'), undefined)
      await store.store('_IK_a', base, sampleRecord(base, 1))
      for (const created of [
        base - 1,
        base + 1,
        base + 0.5,
        0,
        -base,
        1e15,
        2 ** 53,
        Number.NaN,
        Number.POSITIVE_INFINITY,
      ]) {
        assert.equal(await store.load('_IK_a', created), undefined, String(created))
      }
      for (const keyId of ['_IK_', '_IK_b', '_ik_a', '_IK_a ', '%', '']) {
        assert.equal(await store.load(keyId, base), undefined, keyId)
        assert.equal(await store.loadLatest(keyId), undefined, keyId)
      }
    })

    property('a second store of a row answers false and changes nothing', async ({ store }) => {
      const first = sampleRecord(base, 1)
      assert.equal(await store.store('_IK_a', base, first), true)
      assert.equal(await store.store('_IK_a', base, sampleRecord(base, 2, { revoked: true })), false)
      assert.equal(await store.store('_IK_a', base, first), false)
      assert.deepEqual(await store.load('_IK_a', base), first)
      assert.deepEqual(await store.loadLatest('_IK_a'), first)
    })

    property('ids that look alike are different ids', async ({ store }) => {
      for (const [seed, keyId] of distinctIds.entries()) {
        assert.equal(await store.store(keyId, base, sampleRecord(base, seed)), true, keyId)
      }
      for (const [seed, keyId] of distinctIds.entries()) {
        assert.deepEqual(await store.load(keyId, base), sampleRecord(base, seed), keyId)
        assert.deepEqual(await store.loadLatest(keyId), sampleRecord(base, seed), keyId)
      }
    })

    property('an id with a lone surrogate is refused and never found', async ({ store }) => {
      await store.store('_IK_\ufffd_a', base, sampleRecord(base, 1))
      await assert.rejects(
        call(() => store.store('_IK_\ud800_a', base, sampleRecord(base, 2))),
        isCode('ERR_METASTORE', 'ERR_METASTORE_ROW_MALFORMED', 'ERR_PARTITION_UNSTORABLE'),
      )
      assert.equal(await store.load('_IK_\ud800_a', base), undefined)
      assert.equal(await store.loadLatest('_IK_\ud800_a'), undefined)
    })

    property(
      'the latest row is the one with the greatest time, whatever the order of stores',
      async ({ store }) => {
        const [first, last] = options.range ?? [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]
        const times = [
          base,
          9,
          1_000_000_000,
          10,
          last,
          99,
          base - 1,
          100,
          999_999_999,
          0,
          -1,
          -86_400,
          first,
          base + 1,
        ]
        const possible = times.filter((time) => time >= first && time <= last)
        let greatest = Number.NEGATIVE_INFINITY
        // The last second goes in last, or it would hide the order of all the others.
        for (const created of [...possible.filter((time) => time !== last), last]) {
          assert.equal(
            await store.store('_SK_a', created, sampleRecord(created, created & 0xff)),
            true,
            String(created),
          )
          greatest = Math.max(greatest, created)
          assert.equal((await store.loadLatest('_SK_a'))?.created, greatest)
        }
        for (const created of possible) {
          assert.deepEqual(
            await store.load('_SK_a', created),
            sampleRecord(created, created & 0xff),
            String(created),
          )
        }
      },
    )

    const { range } = options
    if (range !== undefined) {
      property('a time that the store cannot hold is a typed error, and absent', async ({ store }) => {
        for (const created of [
          range[0] - 1,
          range[1] + 1,
          Number.MAX_SAFE_INTEGER,
          Number.MIN_SAFE_INTEGER,
        ]) {
          await assert.rejects(
            call(() => store.store('_SK_a', created, sampleRecord(created, 1))),
            isCode('ERR_METASTORE'),
          )
          assert.equal(await store.load('_SK_a', created), undefined)
        }
        assert.equal(await store.loadLatest('_SK_a'), undefined)
      })
    }

    property('a row that no reader would accept is not stored', async ({ store }) => {
      const bad: (readonly [number, EnvelopeKeyRecord])[] = [
        [base, sampleRecord(base + 1, 1)],
        [base + 0.5, sampleRecord(base + 0.5, 1)],
        [Number.NaN, sampleRecord(Number.NaN, 1)],
        [base, sampleRecord(base, 1, { encryptedKey: new Uint8Array(0) })],
        [base, sampleRecord(base, 1, { encryptedKey: new Uint8Array(64 * 1024 + 1) })],
        [base, sampleRecord(base, 1, { parentKeyMeta: { keyId: '', created: base } })],
        [base, sampleRecord(base, 1, { parentKeyMeta: { keyId: '_SK_\udfff', created: base } })],
        [base, sampleRecord(base, 1, { parentKeyMeta: { keyId: '_SK_a', created: 1.5 } })],
      ]
      for (const [created, row] of bad) {
        await assert.rejects(
          call(() => store.store('_IK_a', created, row)),
          isCode('ERR_METASTORE_ROW_MALFORMED'),
        )
      }
      assert.equal(await store.loadLatest('_IK_a'), undefined)
    })

    property("a caller's later change reaches no stored row", async ({ store }) => {
      const pristine = sampleRecord(base, 1)
      // A view with an offset, of memory that is overwritten after the call.
      const memory = new Uint8Array(100)
      memory.set(pristine.encryptedKey, 17)
      const parentKeyMeta = { keyId: '_SK_api_catalog', created: base }
      const given = { created: base, encryptedKey: memory.subarray(17, 77), parentKeyMeta, revoked: false }
      await store.store('_IK_a', base, given)
      memory.fill(0xee)
      Object.assign(parentKeyMeta, { keyId: 'changed', created: 1 })
      Object.assign(given, { created: 1, revoked: true })

      for (const read of [() => store.load('_IK_a', base), () => store.loadLatest('_IK_a')]) {
        const loaded = await read()
        assert.deepEqual(loaded, pristine)
        loaded?.encryptedKey.fill(0xdd)
        Object.assign(loaded ?? {}, { revoked: true })
        Object.assign(loaded?.parentKeyMeta ?? {}, { keyId: 'changed' })
        assert.deepEqual(await read(), pristine)
      }
    })

    property('of 50 concurrent stores of one row exactly one wins', async ({ store }) => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, seed) =>
          call(() => store.store('_IK_a', base, sampleRecord(base, seed))),
        ),
      )
      assert.equal(answers.filter(Boolean).length, 1)
      assert.deepEqual(await store.load('_IK_a', base), sampleRecord(base, answers.indexOf(true)))
    })

    test('it answers as a plain map of rows would', async () => {
      const keyId = fc.constantFrom('_SK_a', '_SK_A', '_IK_é', '_IK_e\u{301}')
      const created = fc.integer({ min: 1, max: 12 }).map((step) => base + step)
      const step = fc.oneof(
        fc.record({
          op: fc.constant('store' as const),
          keyId,
          created,
          seed: fc.nat(255),
          revoked: fc.boolean(),
        }),
        fc.record({ op: fc.constant('load' as const), keyId, created }),
        fc.record({ op: fc.constant('latest' as const), keyId }),
      )
      const steps = fc.array(step, { maxLength: 40 })
      await fc.assert(
        fc.asyncProperty(steps, async (run) => {
          const made = await makeStore()
          const model = new Map<string, Map<number, EnvelopeKeyRecord>>()
          try {
            for (const item of run) {
              const rows = model.get(item.keyId) ?? new Map<number, EnvelopeKeyRecord>()
              model.set(item.keyId, rows)
              if (item.op === 'store') {
                const record = sampleRecord(item.created, item.seed, item.revoked ? { revoked: true } : {})
                assert.equal(
                  await made.store.store(item.keyId, item.created, record),
                  !rows.has(item.created),
                )
                if (!rows.has(item.created)) rows.set(item.created, record)
              } else if (item.op === 'load') {
                assert.deepEqual(await made.store.load(item.keyId, item.created), rows.get(item.created))
              } else {
                assert.deepEqual(await made.store.loadLatest(item.keyId), rows.get(Math.max(...rows.keys())))
              }
            }
          } finally {
            await made.end()
          }
        }),
        { numRuns: options.runs ?? 50 },
      )
    })

    if (options.keepsText) {
      property('a malformed row is an error that names it, never absent', async ({ store, insertRaw }) => {
        assert.ok(insertRaw !== undefined)
        let refused = 0
        for (const [index, [what, text]] of malformedRows(base).entries()) {
          const keyId = `_IK_bad-${index}`
          if (!(await insertRaw(keyId, base, text))) {
            refused += 1
            continue
          }
          for (const read of [() => store.load(keyId, base), () => store.loadLatest(keyId)]) {
            await assert.rejects(
              call(read),
              (error: unknown) => {
                isCode('ERR_METASTORE_ROW_MALFORMED')(error)
                assert.ok(error instanceof AsherahError)
                assert.ok(error.message.includes(keyId) && error.message.includes(String(base)), what)
                const told = `${error.message} ${String(error.cause)}`
                assert.ok(!told.includes(marker.slice(0, 8)), `${what}: the content is quoted`)
                return true
              },
              what,
            )
          }
          await assert.doesNotReject(call(() => store.load(keyId, base + 1)))
        }
        assert.ok(refused < malformedRows(base).length, 'the backend accepted some of them')
      })

      property('rows as other writers leave them are read', async ({ store, insertRaw }) => {
        assert.ok(insertRaw !== undefined)
        const row = sampleRecord(base, 7)
        const key = Buffer.from(row.encryptedKey).toString('base64')
        const parent = '"ParentKeyMeta":{"KeyId":"_SK_api_catalog","Created":1795315800}'
        const texts: (readonly [string, EnvelopeKeyRecord])[] = [
          [`{"Created":${base},"Key":"${key}",${parent}}`, row],
          [`{"Revoked":false,"Created":${base},"Key":"${key}",${parent}}`, row],
          [`{"Created":${base},"Key":"${key}",${parent},"Revoked":null}`, row],
          [`{"Created":${base},"Key":"${key}",${parent},"Revoked":true}`, { ...row, revoked: true }],
          [
            `{"Key": "${key}", "Created": ${base}, "ParentKeyMeta": {"KeyId": "_SK_api_catalog", "Created": ${base}}}`,
            row,
          ],
          [`{ "Key" : "${key.replaceAll('/', '\\/')}",\n\t"Created" : ${base} , ${parent} }`, row],
          [
            `{"Created":${base},"Key":"${key}","ParentKeyMeta":null}`,
            { created: base, encryptedKey: row.encryptedKey },
          ],
          [`{"Extra":[{"Created":1,"x":"}"}],"Created":${base},"Key":"${key}",${parent},"more":-1.5e3}`, row],
          [
            `{"Created":${base},"Key":"${key}","ParentKeyMeta":{"KeyId":"_SK_api\\u005Fcatalog","Created":${base},"x":{}}}`,
            row,
          ],
        ]
        for (const [index, [text, expected]] of texts.entries()) {
          assert.equal(await insertRaw(`_IK_${index}`, base, text), true)
          assert.deepEqual(await store.load(`_IK_${index}`, base), expected, text)
          assert.deepEqual(await store.loadLatest(`_IK_${index}`), expected, text)
        }
      })
    }

    const { contender } = options
    if (contender !== undefined) {
      property('of several processes that store one row exactly one wins', async ({ store, argument }) => {
        assert.ok(argument !== undefined)
        for (const round of [0, 1, 2]) {
          const keyId = `_IK_round-${round}`
          const answers = await race(contender, argument, keyId, 6)
          assert.equal(answers.filter(Boolean).length, 1, `round ${round}: ${answers.join()}`)
          assert.deepEqual(await store.load(keyId, base), sampleRecord(base, answers.indexOf(true)))
          assert.equal(await store.store(keyId, base, sampleRecord(base, 99)), false)
        }
      })
    }

    if (options.closes) {
      property('close lets calls in flight end: each is done or a typed error', async ({ store }) => {
        const calls = Array.from({ length: 20 }, (_, seed) =>
          call(() => store.store('_IK_a', base + seed, sampleRecord(base + seed, seed))),
        )
        await Promise.resolve()
        const [settled] = await Promise.all([Promise.allSettled(calls), call(() => store.close?.())])
        for (const outcome of settled) {
          if (outcome.status === 'fulfilled') assert.equal(outcome.value, true)
          else isCode('ERR_CLOSED')(outcome.reason)
        }
      })

      property('after close every call is ERR_CLOSED, and close may be called again', async ({ store }) => {
        await store.store('_IK_a', base, sampleRecord(base, 1))
        await store.close?.()
        await store.close?.()
        await assert.rejects(
          call(() => store.load('_IK_a', base)),
          isCode('ERR_CLOSED'),
        )
        await assert.rejects(
          call(() => store.loadLatest('_IK_a')),
          isCode('ERR_CLOSED'),
        )
        await assert.rejects(
          call(() => store.store('_IK_a', base, sampleRecord(base, 1))),
          isCode('ERR_CLOSED'),
        )
      })
    } else {
      property('it has no close, since it opened nothing', async ({ store }) => {
        assert.equal(store.close, undefined)
      })
    }
  })
}

const marker = Buffer.alloc(60, 'secret-looking').toString('base64')

/** Texts that are no key record of the time `created`, each with what is wrong. All carry the marker where they can. */
export function malformedRows(created: number): readonly (readonly [what: string, text: string])[] {
  const key = `"Key":"${marker}"`
  const time = `"Created":${created}`
  return [
    ['empty', ''],
    ['a blank', ' '],
    ['null', 'null'],
    ['a string', `"${marker}"`],
    ['an array', `[{${time},${key}}]`],
    ['an empty object', '{}'],
    ['truncated', `{${time},${key}`],
    ['trailing text', `{${time},${key}} x`],
    ['text before', `x{${time},${key}}`],
    ['a byte order mark', `\u{feff}{${time},${key}}`],
    ['a trailing comma', `{${time},${key},}`],
    ['single quotes', `{'Created':${created},${key}}`],
    ['no Created', `{${key}}`],
    ['another Created', `{"Created":${created + 1},${key}}`],
    ['Created with a fraction', `{"Created":${created}.5,${key}}`],
    ['Created as a string', `{"Created":"${created}",${key}}`],
    ['Created null', `{"Created":null,${key}}`],
    ['Created true', `{"Created":true,${key}}`],
    ['Created negative', `{"Created":-${created},${key}}`],
    ['Created in another case', `{"created":${created},${key}}`],
    ['no Key', `{${time},"Other":"${marker}"}`],
    ['Key null', `{${time},"Key":null,"Other":"${marker}"}`],
    ['Key empty', `{${time},"Key":"","Other":"${marker}"}`],
    ['Key a number', `{${time},"Key":12,"Other":"${marker}"}`],
    ['Key an object', `{${time},"Key":{${key}}}`],
    ['Key in URL-safe base64', `{${time},"Key":"${marker.slice(0, -4)}-_8A"}`],
    ['Key without padding', `{${time},"Key":"${marker}AA"}`],
    ['Key with too much padding', `{${time},"Key":"${marker}===="}`],
    ['Key with loose bits', `{${time},"Key":"${marker}AB=="}`],
    ['Key with a blank', `{${time},"Key":"${marker} "}`],
    ['Key with a line break', `{${time},"Key":"${marker}\\n"}`],
    ['Key too long', `{${time},"Key":"${marker.repeat(1100)}"}`],
    ['a row too long', `{${time},${key},"Other":"${'x'.repeat(256 * 1024)}"}`],
    ['Revoked a string', `{"Revoked":"true",${time},${key}}`],
    ['Revoked a number', `{"Revoked":1,${time},${key}}`],
    ['parent a string', `{${time},${key},"ParentKeyMeta":"_SK_a"}`],
    ['parent an array', `{${time},${key},"ParentKeyMeta":[]}`],
    ['parent empty', `{${time},${key},"ParentKeyMeta":{}}`],
    ['parent false', `{${time},${key},"ParentKeyMeta":false}`],
    ['parent without KeyId', `{${time},${key},"ParentKeyMeta":{"Created":1}}`],
    ['parent without Created', `{${time},${key},"ParentKeyMeta":{"KeyId":"_SK_a"}}`],
    ['parent with a Created as a string', `{${time},${key},"ParentKeyMeta":{"KeyId":"_SK_a","Created":"1"}}`],
    ['parent with a fraction', `{${time},${key},"ParentKeyMeta":{"KeyId":"_SK_a","Created":1.5}}`],
    ['parent with a KeyId null', `{${time},${key},"ParentKeyMeta":{"KeyId":null,"Created":1}}`],
    ['parent with an empty KeyId', `{${time},${key},"ParentKeyMeta":{"KeyId":"","Created":1}}`],
  ]
}

/** Opens the store in `count` processes, lets them store one row at the same moment, and gives their answers. */
async function race(module: string, argument: string, keyId: string, count: number): Promise<boolean[]> {
  const program = fileURLToPath(new URL('contender.ts', import.meta.url))
  const children = Array.from({ length: count }, (_, seed) =>
    spawn(process.execPath, [program, module, argument, keyId, String(base), String(seed)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  )
  try {
    const outputs = children.map((child) => child.stdout.setEncoding('utf8')[Symbol.asyncIterator]())
    for (const output of outputs) assert.equal((await output.next()).value, 'ready\n')
    for (const child of children) child.stdin.end('go\n')
    const answers: boolean[] = []
    for (const output of outputs) answers.push((await output.next()).value === 'true\n')
    await Promise.all(children.map((child) => child.exitCode ?? once(child, 'exit')))
    assert.deepEqual(
      children.map((child) => child.exitCode),
      children.map(() => 0),
    )
    return answers
  } finally {
    for (const child of children) child.kill('SIGKILL')
  }
}
