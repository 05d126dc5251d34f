import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { withTables } from '../../../scripts/docs-sidecar.ts'
import { temporaryFolder } from './support/sidecar.ts'

const root = join(import.meta.dirname, '..', '..', '..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const main = join(root, 'packages', 'cli', 'src', 'main.ts')

/** What `asherah` prints on standard error, with this folder as PATH; interrupted once it serves. */
function output(command: string, folder: string): Promise<string> {
  const [, ...args] = command.split(' ')
  const env = { ...process.env, NODE_NO_WARNINGS: '1' }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [main, ...args], {
      cwd: folder,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 30_000,
    })
    let printed = ''
    child.stderr.on('data', (chunk: Buffer) => {
      printed += chunk.toString('utf8')
      // The library's own events come a moment later.
      if (printed.includes('serving on')) setTimeout(() => child.kill('SIGINT'), 300)
    })
    child.on('error', reject)
    child.on('close', () => resolve(printed.replaceAll(realpathSync(folder), 'PATH')))
  })
}

describe('docs/sidecar.md', () => {
  const document = read('docs/sidecar.md')

  test('has the tables that the flags make', () => {
    assert.equal(withTables(document), document)
  })

  const blocks = [...document.matchAll(/```console\n\$ (asherah serve .*)\n([\s\S]*?)```/g)]
  test('shows commands', () => assert.equal(blocks.length, 3))
  for (const [, command = '', shown = ''] of blocks) {
    test(`shows what happens: ${command}`, { timeout: 40_000 }, async (context) => {
      const folder = temporaryFolder(context)
      writeFileSync(join(folder, 'plain-file'), '')
      const lines = (text: string): string[] =>
        text
          .split('\n')
          .filter((line) => line !== '' && line !== '^C')
          .toSorted()
      assert.deepEqual(lines(await output(command, folder)), lines(shown))
    })
  }

  test('says what to do for each code of the server', () => {
    const codes = [...read('packages/server/src/errors.ts').matchAll(/^ {2}\| '(ERR_[A-Z_]+)'/gm)].map(
      ([, code]) => code,
    )
    const documented = [...document.matchAll(/^\| `(ERR_[A-Z_]+)` \|/gm)].map(([, code]) => code)
    assert.deepEqual(documented, codes)
  })

  test('quotes the answers of a session as they are', () => {
    const source = read('packages/server/src/session/session-stream.ts')
    for (const text of [
      'session not yet initialized',
      'session has already been initialized',
      'empty request',
      'partition_id is empty',
      'partition_id contains a control character',
      'decrypt request missing data_row_record',
    ]) {
      assert.ok(document.includes(`\`${text}\``) && source.includes(`'${text}'`), text)
    }
  })
})
