import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { jsonMembers } from '../../samples/protect-columns/src/json-members.ts'

describe('jsonMembers', () => {
  test('finds the members of any object, written with any white space', () => {
    const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
    fc.assert(
      fc.property(objects, fc.constantFrom('', ' ', '\t', 3), (object, space) => {
        const members = jsonMembers(JSON.stringify(object, null, space)) ?? new Map()
        const parsed = JSON.parse(JSON.stringify(object)) as Record<string, unknown>
        assert.deepEqual([...members.keys()].toSorted(), Object.keys(parsed).toSorted())
        for (const [name, source] of members) assert.deepEqual(JSON.parse(source), parsed[name])
      }),
    )
  })

  test('keeps each value as it was written', () => {
    const text = ' { "a" : 1.0 ,"b":[1e2, {"}":"\\"]"}] , "\\u0063":"\\u00e9 \\\\" ,"d":{},"e":-0} '
    assert.deepEqual(
      [...(jsonMembers(text) ?? [])],
      [
        ['a', '1.0'],
        ['b', '[1e2, {"}":"\\"]"}]'],
        ['c', '"\\u00e9 \\\\"'],
        ['d', '{}'],
        ['e', '-0'],
      ],
    )
    assert.deepEqual(jsonMembers('{}'), new Map())
  })

  for (const text of ['[]', '1', 'null', '"{}"', '{"a":1,"a":1}', '{"a":1,"\\u0061":1}']) {
    test(`refuses ${text}`, () => assert.equal(jsonMembers(text), undefined))
  }
  for (const text of ['', '{', '{"a":1,}', '{"a":1} {}', "{'a':1}"]) {
    test(`throws at ${text === '' ? 'nothing' : text}`, () =>
      assert.throws(() => jsonMembers(text), SyntaxError))
  }
})
