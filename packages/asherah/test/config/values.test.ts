import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { keyNames, schema } from '../../src/config/schema.ts'
import { base, config, failure, rows } from './resolving.ts'

describe('types of values', () => {
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    text: [7, true, {}, [], 'a\0b', '\ud800'],
    secret: [7, {}, '\udc00x'],
    flag: ['true', 1, 0, {}],
    integer: ['1', 1.5, Number.NaN, Number.POSITIVE_INFINITY, 10n, true, -1, 2 ** 53, {}],
    choice: ['nonsense', 7, {}],
    texts: ['a,b', [1], [null], {}, ['\ud800']],
    map: ['{}', [], { a: 1 }, { a: null }, 7],
    backend: [
      'nonsense',
      7,
      true,
      [],
      {},
      () => rows,
      { load() {} },
      new URL('https://host/module.js'),
      'file:x.js',
    ],
    clock: [{}, 7, { now() {} }],
  }
  for (const key of keyNames) {
    it(`${key}: ${schema[key].type.kind}`, () => {
      for (const value of wrong[schema[key].type.kind] ?? assert.fail()) {
        const { problems } = failure({ ...base, [key]: value })
        assert.deepEqual(
          problems.map((problem) => problem.key),
          [key],
          inspect(value),
        )
      }
    })
  }

  for (const key of keyNames) {
    const { type, default: fallback } = schema[key]
    if (type.kind !== 'integer') continue
    it(`${key}: ${type.min} to ${type.max} ${type.unit}`, () => {
      assert.ok(typeof fallback === 'number' && fallback >= type.min && fallback <= type.max)
      for (const value of [type.min, type.max]) config({ ...base, [key]: value })
      for (const value of [type.min - 1, type.max + 1, -type.max]) {
        assert.ok(failure({ ...base, [key]: value }).message.includes(`${key} is ${value}`))
      }
    })
  }

  it('has texts that are needed filled', () => {
    for (const key of ['serviceName', 'productId'])
      assert.match(failure({ ...base, [key]: '' }).message, /is empty/)
    // Nothing asks for these on a memory metastore.
    config({ ...base, connectionString: '', dynamoDbRegion: '', vaultAddr: '', regionSuffix: '' })
  })
})
