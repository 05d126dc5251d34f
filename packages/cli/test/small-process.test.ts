import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { childrenOf } from '../../../tests/support/processes.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const nodeFlags = '--disable-warning=ExperimentalWarning'

function wordsOf(pid: number | undefined): readonly string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
}

/** Starts `asherah serve`, and resolves when it serves. */
async function serve(
  context: TestContext,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  stdio: 'ignore' | 'ipc' = 'ignore',
): Promise<ChildProcess> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-small-'))
  const socket = join(folder, 's')
  const names = ['--service', 'a', '--product', 'b', '--metastore', 'sqlite', '--kms', 'static']
  const child = spawn(
    process.execPath,
    [nodeFlags, main, 'serve', ...names, '--socket-file', socket, ...args],
    {
      stdio: ['ignore', 'ignore', 'inherit', stdio],
      env: {
        ...process.env,
        ASHERAH_STATIC_MASTER_KEY_HEX: '5c'.repeat(32),
        ASHERAH_CONNECTION_STRING: join(folder, 'keys.db'),
        ...environment,
      },
    },
  )
  context.after(async () => {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })
  for (let waited = 0; !existsSync(socket); waited++) {
    assert.equal(child.exitCode, null, 'it has ended')
    assert.ok(waited < 1000, 'it does not serve')
    await pause(20)
  }
  return child
}

describe('the process of asherah serve', { timeout: 60_000 }, () => {
  test('starts anew in its own place with V8’s flags, once, and its workers have them', async (context) => {
    const child = await serve(context, ['--workers', '2'])
    const [, ...words] = wordsOf(child.pid)
    assert.deepEqual(words.slice(0, 5), [
      '--no-concurrent-recompilation',
      '--max-semi-space-size=2',
      nodeFlags,
      main,
      'serve',
    ])
    const workers = childrenOf(child.pid ?? 0)
    assert.equal(workers.length, 2)
    for (const worker of workers) assert.deepEqual(wordsOf(worker).slice(1, 4), words.slice(0, 3))
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [0, null])
  })

  test('keeps what its user says of them', async (context) => {
    const child = await serve(context, [], { NODE_OPTIONS: '--max-semi-space-size=16' })
    assert.deepEqual(wordsOf(child.pid).slice(1, 4), ['--no-concurrent-recompilation', nodeFlags, main])
  })

  test('stays when a parent talks to it, which would lose it', async (context) => {
    const child = await serve(context, [], {}, 'ipc')
    assert.deepEqual(wordsOf(child.pid).slice(1, 3), [nodeFlags, main])
    assert.ok(child.connected)
  })
})
