import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'

const root = join(import.meta.dirname, '..')

/** What may be linked to, or installed beside, code under Apache-2.0 without a duty but to name its authors. */
const allowed: ReadonlySet<string> = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'MIT-0',
  'Unicode-3.0',
  'Zlib',
])

/** Whether an SPDX expression can be met by allowed licences alone. */
function isAllowed(expression: string): boolean {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  const term = (): boolean => {
    const token = tokens.shift() ?? ''
    if (token !== '(') {
      // An exception only permits more.
      if (tokens[0] === 'WITH') tokens.splice(0, 2)
      return allowed.has(token)
    }
    const inner = either()
    assert.equal(tokens.shift(), ')', expression)
    return inner
  }
  const chain = (operator: string, next: () => boolean, join: (one: boolean, other: boolean) => boolean) => {
    let value = next()
    while (tokens[0] === operator) {
      tokens.shift()
      value = join(next(), value)
    }
    return value
  }
  const all = (): boolean => chain('AND', term, (one, other) => one && other)
  const either = (): boolean => chain('OR', all, (one, other) => one || other)
  const met = either()
  assert.deepEqual(tokens, [], `not understood: ${expression}`)
  return met
}

test('expressions are judged by what they leave to choose', () => {
  for (const expression of [
    'MIT',
    'GPL-3.0 OR MIT',
    '(MIT OR GPL-3.0) AND ISC',
    'Apache-2.0 WITH LLVM-exception',
  ]) {
    assert.ok(isAllowed(expression), expression)
  }
  for (const expression of ['GPL-3.0', 'MIT AND GPL-3.0', '(MIT OR ISC) AND AGPL-3.0', 'UNLICENSED', '']) {
    assert.ok(!isAllowed(expression), expression)
  }
})

interface Manifest {
  readonly name: string
  readonly license?: unknown
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** Where Node finds a package that is imported from `folder`. */
function located(name: string, folder: string): string | undefined {
  for (let at = folder; at.length >= root.length; at = dirname(at)) {
    const found = join(at, 'node_modules', name)
    if (existsSync(join(found, 'package.json'))) return found
  }
  return undefined
}

test('every npm package that runs in production, drivers included, has a licence that allows it', () => {
  const waiting = globSync('packages/*/package.json', { cwd: root }).map((file) => join(root, dirname(file)))
  const seen = new Set(waiting)
  const missing = new Set<string>()
  for (const folder of seen) {
    const { dependencies, optionalDependencies, peerDependencies } = manifest(folder)
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      const found = located(name, folder)
      if (found === undefined) missing.add(name)
      else seen.add(found)
    }
  }
  const refused = [...seen]
    .map(manifest)
    .filter(({ license }) => typeof license !== 'string' || !isAllowed(license))
    .map(({ name, license }) => `${name}: ${JSON.stringify(license)}`)
  assert.deepEqual(refused, [])
  assert.ok(seen.size > 40, `${seen.size} packages`)
  // For Node 20 alone, and never installed here; pg-native is pg's optional peer.
  assert.deepEqual([...missing].sort(), ['better-sqlite3', 'pg-native'])
})

interface Metadata {
  readonly workspace_members: readonly string[]
  readonly packages: readonly {
    readonly id: string
    readonly name: string
    readonly license: string | null
  }[]
  readonly resolve: {
    readonly nodes: readonly {
      readonly id: string
      readonly deps: readonly {
        readonly pkg: string
        readonly dep_kinds: readonly { readonly kind: string | null }[]
      }[]
    }[]
  }
}

test('every crate that is built into the addon, or builds it, has a licence that allows it', () => {
  // Of this platform: the crates of others are not here to be looked at.
  const platform = /^host: (.*)$/m.exec(execFileSync('rustc', ['-vV'], { encoding: 'utf8' }))?.[1] ?? ''
  const { packages, resolve, workspace_members } = JSON.parse(
    execFileSync(
      'cargo',
      ['metadata', '--format-version', '1', '--locked', '--offline', '--filter-platform', platform],
      { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 },
    ),
  ) as Metadata
  const nodes = new Map(resolve.nodes.map((node) => [node.id, node]))
  const seen = new Set(workspace_members)
  for (const id of seen) {
    for (const { pkg, dep_kinds } of nodes.get(id)?.deps ?? []) {
      if (dep_kinds.some(({ kind }) => kind !== 'dev')) seen.add(pkg)
    }
  }
  const refused = packages
    .filter(({ id, license }) => seen.has(id) && !isAllowed(license ?? ''))
    .map(({ name, license }) => `${name}: ${license}`)
  assert.deepEqual(refused, [])
  assert.ok(seen.size > 30, `${seen.size} crates`)
})
