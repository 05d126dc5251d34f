import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import {
  type Config,
  type ResolvedConfig,
  resolveConfig,
  resolveEnvironment,
} from '../../src/config/config.ts'
import { schema } from '../../src/config/schema.ts'
import { parseSetenv } from '../../src/config/setenv.ts'
import { keyOf, spellingsOf } from '../../src/config/spellings.ts'
import { AsherahError } from '../../src/errors.ts'
import { everyBackend, hex } from '../config/resolving.ts'

const names = Object.keys(schema).flatMap((key) => spellingsOf(key))
const variables = [...new Set(Object.values(schema).flatMap(({ environment }) => environment))]
const secretNames = names.filter((name) => {
  const key = keyOf(name)
  return key !== undefined && schema[key].type.kind === 'secret'
})
const secretVariables = Object.values(schema).flatMap(({ environment, type }) =>
  type.kind === 'secret' ? [...environment] : [],
)

/** Told apart from everything else that a message may hold. */
const mark = 'S3CRET§'
const secret = fc.oneof(
  fc.string({ unit: 'grapheme' }).map((text) => `${text}${mark}${text}`),
  fc.constantFrom(
    hex,
    `mysql://u:${mark}@h/d`,
    `u:${mark}@tcp(h)/d`,
    `postgres://u:${mark}@h:x/d`,
    `password='${mark}`,
  ),
)
const plain = fc.oneof(
  fc.constantFrom(
    'sqlite',
    'memory',
    'rdbms',
    'dynamodb',
    'static',
    'aws',
    'vault',
    'secrets-manager',
    'mysql',
    'postgres',
  ),
  fc.constantFrom(
    'token',
    'approle',
    'kubernetes',
    'us-west-2',
    'true',
    '0',
    '-1',
    '1e3',
    'https://vault',
    '',
  ),
  fc.string({ unit: 'grapheme' }),
)
const anything = fc.oneof(
  plain,
  fc.integer(),
  fc.boolean(),
  fc.anything({ withNullPrototype: true, withBigInt: true }),
)

/** A configuration or a typed error; neither shows the mark. */
function judge(resolve: () => ResolvedConfig): void {
  let config: Config
  try {
    config = resolve().config
  } catch (error) {
    const { code } = error as { readonly code?: unknown }
    assert.ok(error instanceof AsherahError || code === 'ERR_INVALID_ARG_TYPE', inspect(error))
    assert.ok(!inspect(error, { depth: 9 }).includes(mark), inspect(error))
    return
  }
  assert.ok(Object.isFrozen(config))
  const { metastore } = config
  // A connection string is a secret, but the path of a file is none.
  const shown = metastore.kind === 'sqlite' ? { ...config, metastore: { ...metastore, path: '' } } : config
  assert.ok(!inspect(shown, { depth: 9, showHidden: true }).includes(mark))
}

test('any object is a configuration or a typed error, and no secret in it is shown', () => {
  const member = fc.oneof(
    fc.tuple(
      fc.constantFrom(...secretNames),
      fc.oneof(secret, fc.array(secret), fc.dictionary(fc.string(), secret)),
    ),
    fc.tuple(fc.constantFrom(...names), anything),
    fc.tuple(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'constructor', 'toString')), anything),
  )
  const needed = { serviceName: 'svc', productId: 'prod', metastore: 'memory', kms: 'static' }
  fc.assert(
    fc.property(fc.array(member, { maxLength: 6 }), fc.boolean(), (members, complete) => {
      const input: object = Object.fromEntries(members)
      judge(() => resolveConfig(complete ? { ...needed, ...input } : input, {}, everyBackend))
    }),
    { numRuns: 3000 },
  )
  assert.equal(Reflect.get({}, 'serviceName'), undefined)
})

test('any environment is a configuration or a typed error, and no secret in it is shown', () => {
  const member = fc.oneof(
    fc.tuple(fc.constantFrom(...secretVariables, 'MYSQL_URL', 'POSTGRES_URL'), secret),
    fc.tuple(fc.constantFrom(...variables), plain),
  )
  fc.assert(
    fc.property(fc.array(member, { maxLength: 8 }), (members) => {
      const environment: Record<string, string> = {
        SERVICE_NAME: 's',
        PRODUCT_ID: 'p',
        ...Object.fromEntries(members),
      }
      judge(() => resolveEnvironment(environment, everyBackend))
    }),
    { numRuns: 3000 },
  )
})

test('any text for setenv is changes or a typed error without a value of it', () => {
  const line = fc
    .tuple(fc.constantFrom('A', ' export B ', '', '{', '"', '#', 'C D'), secret)
    .map(([name, value]) => `${name}=${value}`)
  const text = fc.oneof(
    fc.array(fc.oneof(line, fc.string()), { maxLength: 4 }).map((lines) => lines.join('\n')),
    fc
      .dictionary(fc.constantFrom('A', '', 'B C'), fc.oneof(secret, fc.array(secret)))
      .map((all) => JSON.stringify(all)),
    secret.map((value) => `{"A":"${value}"`),
  )
  fc.assert(
    fc.property(text, (input) => {
      try {
        for (const value of parseSetenv(input).values())
          assert.ok(value === undefined || !value.includes('\0'))
      } catch (error) {
        assert.ok(error instanceof AsherahError, inspect(error))
        assert.ok(!inspect(error, { depth: 9 }).includes(mark), inspect(error))
      }
    }),
    { numRuns: 2000 },
  )
})
