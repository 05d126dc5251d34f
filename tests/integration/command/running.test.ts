import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { CommandFolder } from './command-process.ts'
import { operatorStores } from './stores.ts'

/** What a process that runs sees of what an operator does, and by when. */

const checkInterval = 2
/** Twice the interval, and room for a slow machine to make the loads in. */
const boundMs = 2 * checkInterval * 1000 + 3_000

class RunningProcess {
  readonly #child: ChildProcess
  readonly #lines: Interface

  constructor(path: string) {
    const program = fileURLToPath(new URL('running-process.ts', import.meta.url))
    const environment = { ...process.env, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }
    this.#child = spawn(process.execPath, [program, path], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: environment,
    })
    assert.ok(this.#child.stdout !== null)
    this.#lines = createInterface({ input: this.#child.stdout })
  }

  async ask(question: object): Promise<{ readonly answer?: string; readonly code?: string }> {
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`)
    const [line] = (await once(this.#lines, 'line')) as [string]
    return JSON.parse(line) as { answer?: string; code?: string }
  }

  async encrypt(partition: string, text: string): Promise<string> {
    const { answer, code } = await this.ask({ partition, encrypt: text })
    assert.ok(answer !== undefined, code)
    return answer
  }

  end(): void {
    this.#child.kill('SIGKILL')
  }
}

function createdOf(record: string): number {
  return (JSON.parse(record) as { Key: { ParentKeyMeta: { Created: number } } }).Key.ParentKeyMeta.Created
}

/** Asks again until the answer is as wanted; fails when it is not within the bound. */
async function within<T>(
  milliseconds: number,
  ask: () => Promise<T>,
  wanted: (answer: T) => boolean,
): Promise<T> {
  const end = performance.now() + milliseconds
  for (;;) {
    const answer = await ask()
    if (wanted(answer)) return answer
    assert.ok(performance.now() < end, `not within ${milliseconds} ms`)
    await pause(50)
  }
}

describe('a running process', { timeout: 240_000 }, () => {
  for (const [name, open] of Object.entries(operatorStores)) {
    test(`over ${name} sees keys rotated, revoked and shredded within the bound`, async (context) => {
      const store = await open()
      const folder = new CommandFolder()
      const config = {
        serviceName: 'api',
        productId: 'catalog',
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
        checkInterval,
        callTimeout: 5_000,
        ...store.config,
      }
      const path = folder.write('asherah.json', config)
      const application = new RunningProcess(path)
      context.after(async () => {
        application.end()
        folder.remove()
        await store.drop()
      })
      const first = await application.encrypt('alice', 'first')
      const bystander = await application.encrypt('bob', 'kept')

      assert.equal((await folder.run('keys', 'rotate', '--partition', 'alice', '--yes')).code, 0)
      const rotated = await within(
        boundMs,
        () => application.encrypt('alice', 'second'),
        (record) => createdOf(record) > createdOf(first),
      )

      assert.equal((await folder.run('keys', 'revoke', '--partition', 'alice', '--yes')).code, 0)
      const third = await within(
        boundMs,
        () => application.encrypt('alice', 'third'),
        (record) => createdOf(record) > createdOf(rotated),
      )
      for (const [record, text] of [
        [first, 'first'],
        [rotated, 'second'],
        [third, 'third'],
      ]) {
        assert.deepEqual(await application.ask({ partition: 'alice', decrypt: record }), { answer: text })
      }

      const shred = await folder.run('shred', '--partition', 'alice', '--yes')
      assert.equal(shred.code, 0, shred.stderr)
      assert.match(shred.stdout, /3 destroyed/)
      // The command has waited for the bound, so all of them are gone here too, and in a process that starts now.
      const later = new RunningProcess(path)
      for (const one of [application, later]) {
        for (const record of [first, rotated, third]) {
          assert.deepEqual(await one.ask({ partition: 'alice', decrypt: record }), {
            code: 'ERR_KEY_NOT_FOUND',
          })
        }
        assert.deepEqual(await one.ask({ partition: 'bob', decrypt: bystander }), { answer: 'kept' })
      }
      later.end()
    })
  }
})
