import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const seed = fileURLToPath(new URL('seed.ts', import.meta.url))
const table = fileURLToPath(new URL('table.ts', import.meta.url))
const limitMs = 60_000

/** The configuration that scripts begin with, in `asherah.json`. */
export const sampleConfiguration = {
  serviceName: 'api',
  productId: 'catalog',
  metastore: 'sqlite',
  connectionString: 'keys.db',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
}

/** What a placeholder of the expected output stands for. */
const placeholders: Readonly<Record<string, string>> = {
  time: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z`,
  age: String.raw`-?\d+(?:ms|[smhd])(?: \d+[smhd])?`,
  ms: String.raw`\d+(?:\.\d+)? ms`,
  n: String.raw`-?\d+(?:\.\d+)?`,
  any: '.*',
}

/** A folder with a configuration, in which `asherah`, `seed` and `table` are commands. */
export class ScriptFolder {
  readonly path: string
  readonly #environment: NodeJS.ProcessEnv

  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.path = mkdtempSync(join(tmpdir(), 'asherah-command-'))
    const bin = join(this.path, '.bin')
    mkdirSync(bin)
    for (const [name, file] of [
      ['asherah', main],
      ['seed', seed],
      ['table', table],
    ] as const) {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec "${process.execPath}" "${file}" "$@"\n`)
      chmodSync(join(bin, name), 0o755)
    }
    this.write('asherah.json', sampleConfiguration)
    const { PATH, NODE_OPTIONS } = process.env
    this.#environment = {
      PATH: `${bin}:${PATH}`,
      HOME: this.path,
      ...(NODE_OPTIONS !== undefined && { NODE_OPTIONS }),
      ...environment,
    }
  }

  write(name: string, value: object): void {
    writeFileSync(join(this.path, name), JSON.stringify(value), { mode: 0o600 })
  }

  /** Runs one line in a shell. What goes to stderr comes after stdout, each line with `! ` before it. */
  run(line: string): readonly string[] {
    const { stdout, stderr, status, error } = spawnSync('sh', ['-c', `umask 077; ${line}`], {
      cwd: this.path,
      env: this.#environment,
      encoding: 'utf8',
      timeout: limitMs,
    })
    if (error !== undefined) throw error
    return [
      ...linesOf(stdout),
      ...linesOf(stderr).map((text) => `! ${text}`),
      ...(status === 0 ? [] : [`[exit ${status}]`]),
    ]
  }

  remove(): void {
    rmSync(this.path, { recursive: true })
  }
}

interface Step {
  readonly command: string
  readonly expected: readonly string[]
}

/** Runs the `$ ` lines of a script, each followed by what it is expected to print. */
export function runScript(folder: ScriptFolder, script: string): number {
  const steps = stepsOf(script)
  for (const { command, expected } of steps) {
    const printed = folder.run(command)
    const pattern = new RegExp(`^${expected.map(patternOf).join('')}$`)
    if (pattern.test(printed.map((line) => `${squeezed(line)}\n`).join(''))) continue
    assert.fail(`$ ${command}\nprinted\n${printed.join('\n')}\nand not\n${expected.join('\n')}`)
  }
  return steps.length
}

function stepsOf(script: string): readonly Step[] {
  const steps: { command: string; expected: string[] }[] = []
  for (const line of script.split('\n')) {
    const last = steps.at(-1)
    if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [] })
    else if (!line.startsWith('#') && line.trim() !== '') {
      if (last === undefined) throw new Error(`output without a command: ${line}`)
      last.expected.push(line)
    }
  }
  return steps
}

function patternOf(line: string): string {
  if (line === '...') return String.raw`[\s\S]*?`
  const parts = squeezed(line).split(/<(time|age|ms|n|any)>/)
  const text = parts.map((part, index) =>
    index % 2 === 1 ? (placeholders[part] ?? '') : part.replaceAll(/[$()*+.?[\\\]^{|}]/g, '\\$&'),
  )
  return `${text.join('')}\n`
}

/** Columns are as wide as their content: how many blanks there are between two words does not count. */
function squeezed(line: string): string {
  return line.trim().replaceAll(/ {2,}/g, '  ')
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '')
}
