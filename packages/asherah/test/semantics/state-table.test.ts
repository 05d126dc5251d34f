import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setLogHook } from '../../src/index.ts'
import { codeOf, keyOf } from '../support/world.ts'
import { type Arranged, arrange, plaintext, rowsWritten, takeCalls } from './arrange.ts'
import { type Case, casesOf, type Group, groups } from './cases.ts'
import { type Expectation, expected } from './rules.ts'

/** Warnings are part of most cases. */
before(() => setLogHook(() => undefined))
after(() => setLogHook(null))

let cases = 0

describe('the state table', () => {
  for (const group of groups()) {
    test(titleOf(group), async () => {
      const wrong: string[] = []
      for (const given of casesOf(group)) {
        cases += 1
        const found = await observe(given)
        const right = expected(given)
        if (!same(found, right))
          wrong.push(`${nameOf(given)}\n  found    ${show(found)}\n  expected ${show(right)}`)
      }
      assert.equal(
        wrong.length,
        0,
        `${wrong.length} cases are wrong, among them\n${wrong.slice(0, 5).join('\n')}`,
      )
    })
  }

  test('has a case for each combination', () => assert.equal(cases, 7 * 6 * 6 * 2 * 2 * 2 * 3))
})

/** What was found is put into the same words as what is expected; a key's name stands for "this very key was used". */
async function observe(given: Case): Promise<Record<keyof Expectation, unknown>> {
  const arranged = arrange(given)
  try {
    const answer = await call(given, arranged)
    const before = takeCalls(arranged)
    await quiet(arranged)
    const behind = takeCalls(arranged)
    // An awaited hit may give the event loop a turn, in which the background check already begins.
    const isBackground = given.form.call === 'asynchronous' && expected(given).during.length === 0
    const during = isBackground ? [] : before
    const after = isBackground ? [...before, ...behind] : behind
    const written = rowsWritten(arranged)
    const again = await call(given, arranged)
    await quiet(arranged)
    if (again.endsWith('key')) assert.deepEqual(takeCalls(arranged), [], `${nameOf(given)}: asked again`)
    assert.deepEqual(rowsWritten(arranged), written, `${nameOf(given)}: wrote again`)
    return { answer, during, after, again, written }
  } finally {
    arranged.close()
  }
}

async function call(given: Case, arranged: Arranged): Promise<string> {
  const { session, record, oldCreated, newCreated, systemKey, world } = arranged
  const isAsync = given.form.call === 'asynchronous'
  let result = ''
  const code = await codeOf(async () => {
    if (given.operation === 'encrypt') {
      result = isAsync ? await session.encryptStringAsync(plaintext) : session.encryptString(plaintext)
    } else result = isAsync ? await session.decryptStringAsync(record) : session.decryptString(record)
  })
  if (code !== undefined) return code
  if (given.operation === 'decrypt') return result === plaintext ? 'same key' : 'another plaintext'
  if (keyOf(result) === newCreated) {
    // With the rows alone: what was stored is what was used.
    assert.equal(world.readRecord(result, systemKey), plaintext, nameOf(given))
    return 'new key'
  }
  return keyOf(result) === oldCreated ? 'same key' : `the key of ${keyOf(result)}`
}

/** Until no backend is asked any more: each answers within a turn of the event loop. */
async function quiet({ world }: Arranged): Promise<void> {
  let idleTurns = 0
  while (idleTurns < 4) {
    const before = world.calls.length
    await new Promise((resolve) => setImmediate(resolve))
    idleTurns = world.calls.length === before ? idleTurns + 1 : 0
  }
}

function same(found: Record<keyof Expectation, unknown>, right: Expectation): boolean {
  return show(found) === show(right)
}

function show({ answer, during, after, again, written }: Record<keyof Expectation, unknown>): string {
  return JSON.stringify({ answer, during, after, again, written })
}

function titleOf({ operation, ring, form }: Group): string {
  return `${operation}, ${ring}: ${form.call} call, backends answer ${form.backends}`
}

function nameOf(given: Case): string {
  const { intermediateKey, systemKey, metastore, kms } = given
  return `${titleOf(given)}, IK ${intermediateKey}, SK ${systemKey}, metastore ${metastore}, KMS ${kms}`
}
