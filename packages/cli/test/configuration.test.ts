import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flagOf, schema, variableOf } from 'asherah/admin'
import { formatDuration } from '../src/configuration/duration.ts'
import { textKeys } from '../src/configuration/names.ts'
import { parseValue } from '../src/configuration/values.ts'

describe('shown durations', () => {
  const second = 1000
  const minute = 60 * second
  const hour = 60 * minute
  const shown: readonly (readonly [number, string])[] = [
    [0, '0ms'],
    [999, '999ms'],
    [second, '1s'],
    [90 * second, '1m 30s'],
    [hour, '1h'],
    [25 * hour + minute, '1d 1h'],
    [24 * hour + minute, '1d'],
    [-30 * second, '-30s'],
  ]
  for (const [milliseconds, text] of shown) {
    test(`${milliseconds} ms`, () => assert.equal(formatDuration(milliseconds), text))
  }
})

describe('values of flags and variables', () => {
  const cases: readonly (readonly [keyof typeof schema, string, unknown])[] = [
    ['checkInterval', '90m', 5400],
    ['checkInterval', '90', 90],
    ['callTimeout', '2s', 2000],
    ['poolMaxOpen', '12', 12],
    ['enableRegionSuffix', 'yes', true],
    ['enableRegionSuffix', 'off', false],
    ['recoveryRegionSuffixes', ' a, b,,', ['a', 'b']],
    [
      'regionMap',
      'us-west-2=arn:aws:kms:us-west-2:1:key/a=b, x=y',
      { 'us-west-2': 'arn:aws:kms:us-west-2:1:key/a=b', x: 'y' },
    ],
    ['regionMap', '{"a":"b"}', { a: 'b' }],
    ['serviceName', 'api', 'api'],
  ]
  for (const [key, text, value] of cases) {
    test(`${key} ${text}`, () => assert.deepEqual(parseValue(text, schema[key]), { value }))
  }
  for (const [key, text] of [
    ['poolMaxOpen', '2s'],
    ['checkInterval', 'soon'],
    ['enableRegionSuffix', 'maybe'],
    ['regionMap', 'us-west-2'],
    ['regionMap', '{"a"'],
  ] as const) {
    test(`${key} ${text} is refused`, () => assert.ok('problem' in parseValue(text, schema[key])))
  }
})

test('no two keys have the same flag or variable', () => {
  assert.equal(new Set(textKeys.map(flagOf)).size, textKeys.length)
  assert.equal(new Set(textKeys.map(variableOf)).size, textKeys.length)
  assert.deepEqual(
    (['dynamoDbRegion', 'vaultK8sTokenPath', 'sqlMetastoreDbType', 'kms'] as const).map(flagOf),
    ['dynamodb-region', 'vault-k8s-token-path', 'sql-metastore-db-type', 'kms'],
  )
})

test('a variable of the command never means something else to the library', () => {
  const own = new Map(textKeys.map((key) => [variableOf(key), key]))
  for (const key of textKeys) {
    for (const name of schema[key].environment) {
      const other = own.get(name)
      if (other !== undefined) assert.equal(other, key, name)
    }
  }
})
