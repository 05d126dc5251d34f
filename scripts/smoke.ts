import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { npm, tarballs } from './build.ts'
import { hostNode, root, run } from './command.ts'
import { failure, type Step, type StepResult, success } from './steps.ts'

const compiler = join(root, 'node_modules', '.bin', 'tsc')

/** One record there and back in each style, and one that another partition may not read. */
const roundTrip = `
const factory = new asherah.SessionFactory({
  serviceName: 'smoke',
  productId: 'package',
  metastore: 'memory',
  kms: 'static',
  staticMasterKeyHex: randomBytes(32).toString('hex'),
})
const session = factory.getSession('one-partition')
const record = session.encryptString('gr\\u00fc\\u00df dich')
assert.deepEqual(Object.keys(JSON.parse(record)).sort(), ['Data', 'Key'])
assert.equal(session.decryptString(record), 'gr\\u00fc\\u00df dich')
const bytes = randomBytes(1000)
assert.deepEqual(Buffer.from(session.decrypt(session.encrypt(bytes))), bytes)
assert.throws(
  () => factory.getSession('another-partition').decrypt(record),
  (error) => error instanceof asherah.AsherahError && error.code === 'ERR_RECORD_FOREIGN',
)
session
  .encryptStringAsync('later')
  .then((sealed) => session.decryptStringAsync(sealed))
  .then((text) => assert.equal(text, 'later'))
  .then(() => factory.closeAsync())
  .then(() => console.log('round trip on Node', process.versions.node))
`

const files: Readonly<Record<string, string>> = {
  'package.json': '{ "name": "consumer", "private": true }\n',
  'import.mjs': `import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import * as asherah from 'asherah'
${roundTrip}`,
  'require.cjs': `const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const asherah = require('asherah')
${roundTrip}`,
  'esm.mts': `import { type AsherahSession, type Metastore, SessionFactory } from 'asherah'
export const seal = (session: AsherahSession, text: string): string => session.encryptString(text)
export const make = (): SessionFactory => SessionFactory.fromEnv()
export type Load = Metastore['load']
// @ts-expect-error a partition id is a string
export const wrong = (factory: SessionFactory): AsherahSession => factory.getSession(1)
`,
  'commonjs.cts': `import asherah = require('asherah')
export const seal = (session: asherah.AsherahSession, text: string): string => session.encryptString(text)
`,
}

/** The packed library, installed as a user would, on the Node that the user has. */
export const smokeTest: Step = { name: 'smoke: install, import, require, command, types', action: inConsumer }

/** Each check in turn; the folder is removed whatever happened. */
async function inConsumer(): Promise<StepResult> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-consumer-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const installed = await npm(
      [
        'install',
        ...tarballs(),
        '--prefer-offline',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        '--loglevel=error',
      ],
      folder,
    )
    if (installed.code !== 0) return failure(installed.output)
    return combine([
      await program('import', hostNode, folder, 'import.mjs'),
      await program('require', hostNode, folder, 'require.cjs'),
      await command(folder),
      await program('import on the development Node', process.execPath, folder, 'import.mjs'),
      await types('node16', folder, ['esm.mts']),
      await types('nodenext', folder, ['esm.mts', 'commonjs.cts']),
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function program(title: string, node: string, folder: string, file: string): Promise<StepResult> {
  const { code, output } = await run(node, [file], { cwd: folder, timeoutMs: 60_000 })
  // The line is printed last: a promise that never settles ends Node with another code and without it.
  return code === 0 && output.includes('round trip on Node') ? success() : failure(`${title}:\n${output}`)
}

/** The installed command, which loads all three packages, on the host's Node. */
async function command(folder: string): Promise<StepResult> {
  const asherah = join(folder, 'node_modules', '.bin', 'asherah')
  const result = await run(hostNode, [asherah, '--version'], { cwd: folder, timeoutMs: 60_000 })
  const version = /^\d+\.\d+\.\d+$/m.test(result.output)
  return result.code === 0 && version ? success() : failure(`asherah --version:\n${result.output}`)
}

async function types(module: string, folder: string, sources: readonly string[]): Promise<StepResult> {
  const settings = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--pretty', 'false']
  const libraries = ['--target', 'es2022', '--lib', 'es2022,esnext.disposable']
  const node = ['--typeRoots', join(root, 'node_modules', '@types'), '--types', 'node']
  const { code, output } = await run(
    compiler,
    ['--module', module, ...settings, ...libraries, ...node, ...sources],
    { cwd: folder },
  )
  return code === 0 ? success() : failure(`types under ${module}:\n${output}`)
}

function combine(results: readonly StepResult[]): StepResult {
  return {
    passed: results.reduce((sum, result) => sum + result.passed, 0),
    failed: results.reduce((sum, result) => sum + result.failed, 0),
    skipped: [],
    output: results.map((result) => result.output).join('\n'),
  }
}
