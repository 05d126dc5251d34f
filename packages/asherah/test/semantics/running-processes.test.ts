import assert from 'node:assert/strict'
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import type { Readable } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ik, sk } from '../support/world.ts'

/** The least that the configuration takes, in milliseconds. */
const intervalMs = 1000
const expireAfterSeconds = 8
/** The ring's clocks lag by one tick of the scheduler, 1 to 10 ms. */
const tickMs = 10
/** How often each process encrypts: the last one less often than its keys become overdue. */
const pausesMs = [5, 50, 400, 2300]

interface Use {
  /** Milliseconds since 1970, before the call. */
  readonly at: number
  readonly created: number
}

interface Running {
  readonly child: ChildProcessByStdio<null, Readable, null>
  readonly uses: Use[]
  readonly records: string[]
}

describe('revocation and rotation, seen from outside', () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-rotation-'))
  const path = join(folder, 'keys.db')
  const masterKey = randomBytes(32).toString('hex')
  const running: Running[] = []

  before(async () => {
    // The first one makes the table and the keys.
    running.push(start(pausesMs[0] ?? 5))
    await until('the first process encrypts', () => running.every(({ uses }) => uses.length > 0))
    running.push(...pausesMs.slice(1).map(start))
    await until('all processes encrypt', () => running.every(({ uses }) => uses.length > 0))
  })

  after(async () => {
    for (const { child } of running) child.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  for (const [what, id] of [
    ['an intermediate key', ik('p')],
    ['a system key', sk],
  ] as const)
    test(`${what} that is revoked is used by no process two check intervals later, and all go on to one other key`, async () => {
      const old = latest(ik('p'))
      revoke(id)
      const revokedAt = Date.now()
      await until('all processes have gone on to one other key', () => commonKey() > old)
      for (const { uses } of running) {
        const late = uses.filter(
          ({ at, created }) => created <= old && at > revokedAt + 2 * intervalMs + tickMs,
        )
        assert.deepEqual(late, [])
      }
    })

  test('a key that expires is replaced in every process, and none uses it longer', async () => {
    const old = latest(ik('p'))
    await until('all processes have gone on to one other key', () => commonKey() > old)
    for (const { uses } of running)
      for (const { at, created } of uses)
        assert.ok(at < (created + expireAfterSeconds) * 1000 + tickMs, `${created} at ${at}`)
  })

  test('all the while each process read its first record', () => {
    for (const { child, records } of running) {
      assert.equal(child.exitCode, null)
      assert.equal(records.length, 1)
    }
  })

  function start(pauseMs: number): Running {
    const program = join(import.meta.dirname, 'encrypting-process.ts')
    const child = spawn(
      process.execPath,
      [program, path, masterKey, String(expireAfterSeconds), String(pauseMs)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const uses: Use[] = []
    const records: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Use | { first: string }
      if ('first' in said) records.push(said.first)
      else uses.push(said)
    })
    return { child, uses, records }
  }

  /** The key that all processes used last; 0 while they differ. */
  function commonKey(): number {
    const [key = 0, ...others] = new Set(running.map(({ uses }) => uses.at(-1)?.created))
    return others.length === 0 ? key : 0
  }

  async function until(what: string, holds: () => boolean): Promise<void> {
    const giveUpAt = Date.now() + 30_000
    while (!holds()) {
      assert.ok(Date.now() < giveUpAt, `not within 30 s: ${what}`)
      for (const { child } of running) assert.equal(child.exitCode, null, 'a process ended')
      await sleep(20)
    }
  }

  function latest(id: string): number {
    using database = new DatabaseSync(path)
    const row = database
      .prepare('SELECT key_record FROM encryption_key WHERE id = ? ORDER BY created DESC')
      .get(id)
    return (JSON.parse(String(row?.['key_record'])) as { Created: number }).Created
  }

  /** As an operator does it (contract section 3.8). */
  function revoke(id: string): void {
    using database = new DatabaseSync(path)
    const { changes } = database
      .prepare(
        `UPDATE encryption_key SET key_record = json_set(key_record, '$.Revoked', json('true'))
         WHERE id = ?1 AND created = (SELECT max(created) FROM encryption_key WHERE id = ?1)`,
      )
      .run(id)
    assert.equal(changes, 1)
  }
})
