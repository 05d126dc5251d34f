import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import ts from 'typescript'

const root = join(import.meta.dirname, '..')

/** What git tracks or would track, so that a file is judged before it is added. */
const sources = lines('git', ['ls-files', '--cached', '--others', '--exclude-standard']).filter((file) =>
  existsSync(join(root, file)),
)

describe('the repository', () => {
  test('lists its files', () => {
    for (const file of ['package.json', 'Cargo.toml', 'packages/asherah/src/index.ts']) {
      assert.ok(sources.includes(file), `git does not know ${file}`)
    }
  })

  test('names no path of a machine it was written on', () => {
    // Put together here, so that this file does not name them either.
    const folders = ['work', 'root', 'home', 'Users'].map((folder) => `/${folder}/`)
    const pattern = new RegExp(`(?<![\\w.~$}/-])(?:${folders.join('|')})[\\w.-]+`, 'g')
    assert.deepEqual(matches(textFiles(), pattern), [])
  })

  test('pins no registry', () => {
    const lock = text('package-lock.json')
    assert.deepEqual(lock.match(/"resolved": "(?!packages\/|samples\/)[^"]*"/g), null)
    const origins = new Set(text('Cargo.lock').match(/(?<=^source = ").*(?="$)/gm))
    assert.deepEqual([...origins], ['registry+https://github.com/rust-lang/crates.io-index'])
    const settings = sources.filter((file) => /(^|\/)(\.npmrc|\.cargo\/config(\.toml)?)$/.test(file))
    assert.deepEqual(matches(settings, /registry\s*=|index\s*=|replace-with/g), [])
  })

  test('has no dependency that docs/dependencies.md does not name', () => {
    const documented = text('docs/dependencies.md')
    const missing = [...npmDependencies(), ...crateDependencies()].filter(
      (name) => !documented.includes(`\`${name}\``),
    )
    assert.deepEqual(missing, [])
  })

  test('links only to files that exist', () => {
    const broken: string[] = []
    for (const file of sources.filter((name) => name.endsWith('.md'))) {
      for (const [, target = ''] of text(file).matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)/g)) {
        if (!existsSync(join(root, dirname(file), decodeURI(target)))) broken.push(`${file}: ${target}`)
      }
    }
    assert.deepEqual(broken, [])
  })
})

describe('the Rust sources', () => {
  /** Where memory is managed, the cipher's contexts live, and the addon meets Node; and the tests that fork and fault. */
  const allowed =
    /^native\/(core\/src\/memory\/|core\/src\/aead(_tests)?\.rs$|core\/src\/record\/base64\/vbmi\.rs$|node\/src\/|core\/tests\/|node\/tests\/)/

  test('keep unsafe code where it belongs', () => {
    const files = sources.filter((file) => file.endsWith('.rs'))
    assert.ok(files.length > 5, 'the Rust sources were not found')
    assert.ok(files.some((file) => allowed.test(file) && /\bunsafe\b/.test(rustCode(file))))
    const offenders = files.filter((file) => !allowed.test(file) && /\bunsafe\b/.test(rustCode(file)))
    assert.deepEqual(offenders, [])
  })
})

describe('the library sources', () => {
  const files = sources.filter((file) => /^packages\/asherah\/src\/.*\.ts$/.test(file))

  test('read the environment in one place only', () => {
    const environment =
      /\bprocess\s*(\?\.|\.)\s*env\b|\bprocess\s*\[|\{[^}]*\benv\b[^}]*\}\s*(=\s*process\b|from\s*'node:process')/
    const place = 'packages/asherah/src/config/environment.ts'
    assert.match(text(place), environment)
    assert.deepEqual(
      files.filter((file) => file !== place && environment.test(scriptCode(file))),
      [],
    )
  })

  test('have an index that only exports what other files declare', () => {
    const name = 'packages/asherah/src/index.ts'
    const index = ts.createSourceFile(name, text(name), ts.ScriptTarget.Latest, true)
    assert.ok(index.statements.length > 0)
    const others = index.statements.filter(
      (statement) => !ts.isExportDeclaration(statement) || statement.moduleSpecifier === undefined,
    )
    assert.deepEqual(
      others.map((statement) => statement.getText(index)),
      [],
    )
  })

  test('import nothing that a user would not have installed', () => {
    const own = manifest('packages/asherah/package.json')
    const installed = new Set([...Object.keys(own.dependencies), ...Object.keys(own.peerDependencies)])
    const foreign: string[] = []
    for (const file of files) {
      for (const { fileName } of ts.preProcessFile(text(file), true, true).importedFiles) {
        if (fileName.startsWith('node:') || fileName.startsWith('.')) continue
        const packageName = fileName.split('/', fileName.startsWith('@') ? 2 : 1).join('/')
        if (!installed.has(packageName)) foreign.push(`${file}: ${fileName}`)
      }
    }
    assert.deepEqual(foreign, [])
  })
})

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}

function manifest(file: string): Manifest {
  const { dependencies = {}, peerDependencies = {}, optionalDependencies = {} } = JSON.parse(text(file))
  return { dependencies, peerDependencies, optionalDependencies }
}

function npmDependencies(): string[] {
  return globSync('packages/*/package.json', { cwd: root }).flatMap((file) => {
    const { dependencies, peerDependencies, optionalDependencies } = manifest(file)
    return Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies })
  })
}

/** What the shipped crates link: their build and test tools are not in the product. */
function crateDependencies(): string[] {
  const [metadata = ''] = lines('cargo', ['metadata', '--no-deps', '--offline', '--format-version', '1'])
  const {
    packages,
  }: { packages: { name: string; dependencies: { name: string; kind: string | null }[] }[] } =
    JSON.parse(metadata)
  const own = new Set(packages.map(({ name }) => name))
  const linked = packages.flatMap(({ dependencies }) => dependencies.filter(({ kind }) => kind === null))
  assert.ok(linked.length > 0, 'cargo names no dependency')
  return linked.map(({ name }) => name).filter((name) => !own.has(name))
}

function lines(command: string, args: readonly string[]): string[] {
  const output = execFileSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 })
  return output.split('\n').filter((line) => line !== '')
}

function text(file: string): string {
  return readFileSync(join(root, file), 'utf8')
}

function textFiles(): string[] {
  return sources.filter((file) => !text(file).includes('\0'))
}

function matches(files: readonly string[], pattern: RegExp): string[] {
  return files.flatMap((file) => Array.from(text(file).match(pattern) ?? [], (found) => `${file}: ${found}`))
}

/** A TypeScript file as it runs: its comments may show what its code must not do. */
function scriptCode(file: string): string {
  const compilerOptions = { removeComments: true, target: ts.ScriptTarget.ESNext }
  return ts.transpileModule(text(file), { compilerOptions }).outputText
}

/** A Rust file without its comments and string literals. */
function rustCode(file: string): string {
  return text(file).replaceAll(
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|b?r(#*)"[\s\S]*?"\1|b?"(?:\\[\s\S]|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'/g,
    ' ',
  )
}
