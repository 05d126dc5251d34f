import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ScriptFolder } from './script-runner.ts'

/** Whoever reads a command's stdout or stderr may leave before it is at its end. */

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

function folderOf(context: TestContext): ScriptFolder {
  const folder = new ScriptFolder()
  context.after(() => folder.remove())
  assert.deepEqual(folder.run('seed alice bob carol'), [])
  return folder
}

function run(folder: ScriptFolder, words: readonly string[]) {
  const child = spawn(process.execPath, [main, ...words], {
    cwd: folder.path,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  // Nobody reads from the start: each write fails.
  child.stdout.destroy()
  return child
}

test('what changes something is done to its end, and what looks ends, both with 0', {
  timeout: 60_000,
}, async (context) => {
  const folder = folderOf(context)
  const looking = run(folder, ['keys', 'list'])
  assert.deepEqual(await once(looking, 'exit'), [0, null])
  const changing = run(folder, ['keys', 'revoke', '--service', '--yes'])
  changing.stderr.destroy()
  assert.deepEqual(await once(changing, 'exit'), [0, null])
  assert.deepEqual(folder.run('asherah keys list --state revoked | wc -l'), ['4'])
})

test('a sidecar whose log nobody reads any more serves on', { timeout: 60_000 }, async (context) => {
  const folder = folderOf(context)
  const child = run(folder, ['serve', '--config', 'asherah.json', '--socket-file', 's'])
  context.after(() => child.kill('SIGKILL'))
  child.stderr.destroy()
  const ended = once(child, 'exit')
  while (!existsSync(join(folder.path, 's'))) {
    assert.equal(child.exitCode, null, 'it ended')
    await pause(20)
  }
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
  assert.ok(!existsSync(join(folder.path, 's')))
})
