import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { foreignVariables, keyNames, schema } from '../../src/config/schema.ts'

const root = new URL('../../../../', import.meta.url)
const document = readFileSync(new URL('docs/configuration.md', root), 'utf8')
const typesSource = readFileSync(new URL('../../src/config/asherah-config.ts', import.meta.url), 'utf8')

/** The cells of every row whose first cell is this word in code. */
function rowsOf(name: string): string[][] {
  return document
    .split('\n')
    .filter((line) => line.startsWith(`| \`${name}\` |`))
    .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()))
}

describe('docs/configuration.md', () => {
  it('is what the script makes from the schema', () => {
    const script = fileURLToPath(new URL('scripts/docs-configuration.ts', root))
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], {
      encoding: 'utf8',
      timeout: 60_000,
    })
    assert.equal(status, 0, stderr)
  })

  for (const key of keyNames) {
    it(`has ${key} once, with its default and variables`, () => {
      const rows = rowsOf(key)
      assert.equal(rows.length, 1)
      const [, , spellings, type, fallback, variables, meaning] = rows[0] ?? []
      const { canonical, default: value, environment, meaning: expected, required, type: kind } = schema[key]
      assert.ok(spellings?.includes(`\`${canonical}\``))
      assert.equal(fallback, required ? 'required' : value === undefined ? '–' : `\`${value}\``)
      assert.deepEqual(
        [...(variables?.replace(/\(.*\)/, '').matchAll(/`([^`]+)`/g) ?? [])].map(([, name]) => name),
        environment,
      )
      assert.ok(meaning?.startsWith(expected))
      if (kind.kind === 'integer')
        assert.ok(type?.includes(kind.unit) && type.includes(`${kind.min} to ${kind.max}`))
    })
  }

  it('has every variable of other implementations', () => {
    for (const { name } of foreignVariables) assert.equal(rowsOf(name).length, 1, name)
  })
})

describe('comments of AsherahConfig', () => {
  for (const key of keyNames) {
    if (key === 'metastore' || key === 'kms') continue
    it(`say of ${key} what the schema says`, () => {
      const { default: value, meaning, type } = schema[key]
      const match = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*readonly ${key}\\??:`).exec(typesSource)
      const comment = (match?.[1] ?? '').replaceAll(/\s*\n\s*\*\s*/g, ' ').trim()
      assert.ok(comment.startsWith(meaning), `${key}: ${comment}`)
      if (type.kind === 'integer') assert.ok(comment.includes(`In ${type.unit}; default ${value}.`), comment)
      else if (value !== undefined) assert.ok(comment.includes(`Default \`${value}\`.`), comment)
    })
  }
})
