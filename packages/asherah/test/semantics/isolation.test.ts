import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { resolveConfig } from '../../src/config/config.ts'
import { FactoryCore } from '../../src/factory-core.ts'
import { codeOf, ik, keyOf, productId, serviceName, World } from '../support/world.ts'

/** Texts that ids are made of: the delimiter, one another's beginnings, what key ids begin with, what JSON escapes. */
const word = fc.constantFrom(
  'a',
  'b',
  'ab',
  'api',
  'prod',
  'prod2',
  '_',
  'eu-west-1',
  '_IK',
  '_SK',
  'é',
  'e\u0301',
  '"\\',
  '\u2028',
  '😀',
)
const id = fc.oneof(
  fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('_')),
  fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join('')),
  fc.string({ minLength: 1, unit: 'grapheme' }),
)
const region = fc.constantFrom('', 'eu-west-1', 'a', 'b')

describe('sessions of one partition never read another’s', () => {
  test('whatever the ids, with and without region suffixes, with the key in memory or not', async () => {
    const never = fc.asyncProperty(
      id,
      id,
      id,
      id,
      region,
      fc.boolean(),
      async (one, other, service, product, suffix, warm) => {
        fc.pre(one !== other)
        const world = new World()
        const identity = { serviceName: service, productId: product, regionSuffix: suffix }
        if (isOneWord(service, product, suffix)) {
          assert.throws(() => world.factory(identity), { code: 'ERR_CONFIG_INVALID' })
          return
        }
        using factory = world.factory(identity)
        const mine = factory.getSession(one).encryptString('mine')
        const theirs = factory.getSession(other).encryptString('theirs')
        using cold = world.factory(identity)
        const reader = warm ? factory : cold
        world.calls.length = 0
        assert.equal(await codeOf(() => reader.getSession(one).decryptString(theirs)), 'ERR_RECORD_FOREIGN')
        assert.equal(await codeOf(() => reader.getSession(other).decryptString(mine)), 'ERR_RECORD_FOREIGN')
        assert.deepEqual(world.calls, [])
        assert.equal(reader.getSession(one).decryptString(mine), 'mine')
      },
    )
    await fc.assert(never, { numRuns: 500 })
  })

  for (const suffix of ['', 'eu-west-1'])
    test(`products that begin alike, ${suffix === '' ? 'without a suffix' : 'with one'}`, async () => {
      const world = new World()
      using prod = world.factory({ productId: 'prod', regionSuffix: suffix })
      using prod2 = world.factory({ productId: 'prod2', regionSuffix: suffix })
      using longer = world.factory({ productId: 'prod_2', regionSuffix: suffix })
      for (const [writer, reader] of [
        [prod, prod2],
        [prod2, prod],
        [prod, longer],
        [longer, prod],
      ] as const) {
        const record = writer.getSession('p').encryptString('x')
        assert.equal(await codeOf(() => reader.getSession('p').decryptString(record)), 'ERR_RECORD_FOREIGN')
      }
    })

  test('the engine asks no backend for a key of another partition either', async () => {
    const world = new World()
    const record = world.factory().getSession('other').encryptString('x')
    world.calls.length = 0
    const { metastore, kms } = world
    const core = new FactoryCore(resolveConfig({ serviceName, productId, metastore, kms }, {}))
    const question = { kind: 'existing', keyId: ik('other'), created: keyOf(record) } as const
    assert.equal(await codeOf(() => core.inLine.ask({ ...question, partitionId: 'p' })), 'ERR_RECORD_FOREIGN')
    assert.deepEqual(world.calls, [])
    await core.inLine.ask({ ...question, partitionId: 'other' })
    await core.close()
  })
})

/** Partition `a` with the suffix, and partition `a_word`, would have one id. */
function isOneWord(service: string, product: string, suffix: string): boolean {
  const words = [...service.split('_'), ...product.split('_')]
  return suffix !== '' && words.every((part) => part === suffix)
}
