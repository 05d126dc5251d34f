import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseSetenv } from '../../src/config/setenv.ts'

describe('parseSetenv', () => {
  const tables: [string, unknown, Record<string, string | undefined>][] = [
    ['nothing', '', {}],
    ['lines', 'A=1\nB=two words\n', { A: '1', B: 'two words' }],
    ['Windows lines', 'A=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['comments and blank lines', '# A=0\n\n   \n  # x\nA=1', { A: '1' }],
    ['a # inside a value', 'A=b#c # d', { A: 'b#c # d' }],
    ['white space around', '  A = 1  ', { A: '1' }],
    ['quotes', `A="x y"\nB='z'\nC="a'b"\nD="open\nE="`, { A: 'x y', B: 'z', C: "a'b", D: '"open', E: '"' }],
    ['empty quotes and nothing', 'A=""\nB=', { A: '', B: '' }],
    ['equals signs in a value', 'A=b=c==', { A: 'b=c==' }],
    ['export', 'export A=1\nexport\tB=2\nexported=3', { A: '1', B: '2', exported: '3' }],
    ['the last of a name', 'A=1\nA=2', { A: '2' }],
    [
      'JSON text',
      ' {"A":"x","B":7,"C":true,"D":null,"E":1.5} ',
      { A: 'x', B: '7', C: 'true', D: undefined, E: '1.5' },
    ],
    [
      'an object',
      { A: 'x', B: 7, C: false, D: null, E: 10n, F: undefined },
      { A: 'x', B: '7', C: 'false', D: undefined, E: '10' },
    ],
    ['a value that starts with a brace', 'A={"x":1}', { A: '{"x":1}' }],
    ['a value with a line break', { A: 'a\nb' }, { A: 'a\nb' }],
  ]
  for (const [name, input, expected] of tables) {
    it(name, () => assert.deepEqual(Object.fromEntries(parseSetenv(input)), expected))
  }

  it('reads back any object that was written as JSON', () => {
    const name = fc
      .string({ minLength: 1 })
      .filter((text) => /^[^\s=\0]+$/.test(text) && text !== '__proto__')
    const value = fc.oneof(
      fc.string().filter((text) => !text.includes('\0')),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    )
    const property = fc.property(fc.dictionary(name, value), (input) => {
      const expected = new Map(
        Object.entries(input).map(([key, v]) => [key, v === null ? undefined : String(v)]),
      )
      assert.deepEqual(parseSetenv(JSON.stringify(input)), expected)
      assert.deepEqual(parseSetenv(input), expected)
    })
    fc.assert(property)
  })

  it('reports all mistakes at once, without a value', () => {
    const lines = (input: unknown) => {
      try {
        parseSetenv(input)
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error && error.code === 'ERR_CONFIG_INVALID')
        assert.ok(!error.message.includes('hunter2'), error.message)
        return 'problems' in error && Array.isArray(error.problems)
          ? error.problems.map(({ key }) => key as string)
          : []
      }
      return []
    }
    assert.deepEqual(lines('A=1\nhunter2\n=hunter2\nA B=hunter2\nC=hunter2\0'), [
      'line 2',
      'line 3',
      'line 4',
      'line 5',
    ])
    assert.deepEqual(
      lines({ A: ['hunter2'], B: { x: 'hunter2' }, 'C=': 'hunter2', D: Number.NaN, E: 'hunter2\0' }),
      ['A', 'B', 'C=', 'D', 'E'],
    )
    assert.deepEqual(lines('{"A": "hunter2'), ['setenv'])
  })

  it('refuses other types with a TypeError', () => {
    for (const input of [null, undefined, 7, [], () => ({})])
      assert.throws(() => parseSetenv(input), TypeError)
  })
})
