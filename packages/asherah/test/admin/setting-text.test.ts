import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseBoolean, parseDuration, parseList, parseMap } from '../../src/admin/setting-text.ts'

const hour = 3_600_000

describe('durations as Go writes them', () => {
  const table: readonly (readonly [string, number | undefined])[] = [
    ['60m', hour],
    ['1h30m', 1.5 * hour],
    ['1.5h', 1.5 * hour],
    ['.5s', 500],
    ['1.s', 1000],
    ['1m0.5s', 60_500],
    ['+90s', 90_000],
    ['300ms', 300],
    ['1m1ms', 60_001],
    ['2us', 0.002],
    ['2µs', 0.002],
    ['90d', 90 * 24 * hour],
    ['2w', 14 * 24 * hour],
    [' 90s ', 90_000],
    ['', undefined],
    ['0', undefined],
    ['3600', undefined],
    ['-5s', undefined],
    ['5 s', undefined],
    ['1y', undefined],
    ['h', undefined],
    ['.s', undefined],
    ['1h-5m', undefined],
    ['1.', undefined],
    [`${'9'.repeat(30)}h`, undefined],
    [`${'9'.repeat(400)}h`, undefined],
  ]
  for (const [text, milliseconds] of table) {
    test(JSON.stringify(text.slice(0, 40)), () => assert.equal(parseDuration(text), milliseconds))
  }

  test('bare numbers count what the caller says', () => {
    assert.equal(parseDuration('5', 1000), 5000)
    assert.equal(parseDuration(' 250 ', 1), 250)
    assert.equal(parseDuration('5s', 1), 5000)
    assert.equal(parseDuration('-5', 1000), undefined)
    assert.equal(parseDuration('9'.repeat(16), 1), undefined)
  })
})

test('booleans', () => {
  for (const text of ['1', 'true', 'YES', 'On']) assert.deepEqual(parseBoolean(text), { value: true })
  for (const text of ['0', 'False', 'no', 'off']) assert.deepEqual(parseBoolean(text), { value: false })
  for (const text of ['', 'maybe', 'true ', '2']) assert.ok('problem' in parseBoolean(text), text)
})

test('lists', () => {
  assert.deepEqual(parseList(' a, b,,'), ['a', 'b'])
  assert.deepEqual(parseList(' , '), [])
})

describe('maps', () => {
  const arn = 'arn:aws:kms:us-west-2:1:key/a=b'
  const table: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
    [`us-west-2=${arn}, x = y ,`, { 'us-west-2': arn, x: 'y' }],
    [' {"a":"b"}', { a: 'b' }],
  ]
  for (const [text, value] of table) {
    test(text, () => assert.deepEqual(parseMap(text, 'REGION=ARN'), { value }))
  }
  for (const text of ['', ',', 'us-west-2', 'a=', '=b', 'a=b,c']) {
    test(`${JSON.stringify(text)} is refused`, () => {
      assert.deepEqual(parseMap(text, 'REGION=ARN'), {
        problem: 'must be REGION=ARN,REGION=ARN or a JSON object',
      })
    })
  }

  test('a problem shows nothing of the text', () => {
    const parsed = parseMap('{"hunter2', 'REGION=ARN')
    assert.ok('problem' in parsed && !parsed.problem.includes('hunter2'))
  })

  test('no name reaches a prototype', () => {
    const parsed = parseMap('__proto__=x', 'NAME=VALUE')
    assert.ok('value' in parsed && Object.getPrototypeOf(parsed.value) === Object.prototype)
  })
})
