import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PassThrough } from 'node:stream'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { flagOf, keyNames } from 'asherah/admin'
import { commandTable } from '../src/command-table.ts'
import { isSecret } from '../src/configuration/names.ts'
import { runProgram } from '../src/program.ts'
import { ScriptFolder } from './script-runner.ts'

/** What holds of every command: no secret by flag, JSON where it is asked for, no change without --yes nor without a log. */

/** A line for each command, that does something where there are keys of alice, a table of orders and the files of {@link seed}. */
const lines: Readonly<Record<string, string>> = {
  doctor: 'doctor',
  init: 'init --sqlite-path other.db',
  encrypt: 'encrypt --partition alice --in asherah.json --out sealed',
  decrypt: 'decrypt --partition alice --in alice.json --out opened',
  inspect: 'inspect @alice.json',
  'keys list': 'keys list',
  'keys show': 'keys show _IK_alice_api_catalog',
  'keys tree': 'keys tree',
  'keys rotate': 'keys rotate --service',
  'keys revoke': 'keys revoke --service',
  'keys rewrap': 'keys rewrap --to-config new.json',
  'keys restore': 'keys restore backup.jsonl',
  reencrypt: 'reencrypt --table orders --columns card --partition-column owner --older-than 90d',
  shred: 'shred --partition alice --no-wait',
  serve: 'serve --socket-file missing/s --config asherah.json',
  bench: 'bench --partition carol --sizes 64 --time 1ms --cold 1',
  configuration: 'configuration',
}
const commands = await Promise.all(commandTable.map(async ({ name, load }) => ({ name, spec: await load() })))
const destructive = commands.filter(({ spec }) => spec.destructive).map(({ name }) => name)

const template = new ScriptFolder()

before(() => {
  for (const line of [
    'seed alice',
    'table make alice bob',
    "sed 's/5c5c/6d5c/' asherah.json > new.json",
    // A backup in which the system keys are sealed otherwise than they are.
    'asherah keys rewrap --to-config new.json --yes --backup one.jsonl > out',
    'asherah keys rewrap --config new.json --to-config asherah.json --yes --backup backup.jsonl > out',
    'rm one.jsonl asherah-actions.log out',
  ]) {
    assert.deepEqual(template.run(line), [], line)
  }
})

after(() => template.remove())

function seed(context: TestContext): ScriptFolder {
  const folder = new ScriptFolder()
  context.after(() => folder.remove())
  for (const name of readdirSync(template.path)) {
    if (name !== '.bin') cpSync(join(template.path, name), join(folder.path, name))
  }
  return folder
}

/** Everything in the database, and the names of the files beside it. */
function everything(folder: ScriptFolder): object {
  const database = new DatabaseSync(join(folder.path, 'keys.db'))
  const rows = ['encryption_key', 'orders'].map((name) =>
    database.prepare(`SELECT * FROM ${name} ORDER BY 1, 2`).all(),
  )
  database.close()
  return { rows, files: readdirSync(folder.path).filter((name) => !/^keys\.db-/.test(name)) }
}

test('every command has its line here', () => {
  assert.deepEqual(
    Object.keys(lines),
    commandTable.map(({ name }) => name),
  )
  assert.equal(destructive.length, 8)
})

describe('a secret as a flag', () => {
  for (const { name } of commands.filter(({ spec }) => spec.configured)) {
    test(`is refused by ${name}, which says how to give it`, async () => {
      for (const key of keyNames.filter(isSecret)) {
        const flag = `--${flagOf(key)}`
        for (const words of [[`${flag}=topmost-secret`], [flag, 'topmost-secret'], [flag]]) {
          const { code, printed } = await inProcess([...name.split(' '), ...words])
          assert.equal(code, 2)
          assert.match(printed, new RegExp(`asherah: ${flag} is a secret`))
          assert.match(
            printed,
            new RegExp(`hint: ${flag}-file FILE, the variable ASHERAH_[A-Z_]+, or "${key}" in`),
          )
          assert.doesNotMatch(printed, /topmost/)
        }
      }
    })
  }

  test('is refused by serve, but for --conn', async () => {
    const flags = keyNames.filter((key) => isSecret(key) && key !== 'connectionString').map(flagOf)
    assert.ok(flags.length > 2)
    for (const flag of flags) {
      for (const words of [[`--${flag}=topmost-secret`], [`--${flag}`, 'topmost-secret']]) {
        const { code, printed } = await inProcess(['serve', ...words])
        assert.equal(code, 2)
        assert.match(
          printed,
          new RegExp(`asherah: --${flag} is a secret.*\\nhint: --${flag}-file FILE, the variable`),
        )
        assert.doesNotMatch(printed, /topmost/)
      }
    }
  })
})

test('a value is not shown with a flag that is unknown', async () => {
  const { printed } = await inProcess(['configuration', '--vault-tokn=topmost-secret'])
  assert.match(printed, /unknown option '--vault-tokn'/)
  assert.doesNotMatch(printed, /topmost/)
})

/** A command line in this process. */
async function inProcess(
  argv: readonly string[],
): Promise<{ readonly code: number; readonly printed: string }> {
  const stream = new PassThrough({ encoding: 'utf8' })
  const code = await runProgram(commandTable, argv, {
    environment: {},
    stdin: process.stdin,
    // Of a terminal's streams, only what is in a PassThrough is used here.
    stdout: stream as unknown as NodeJS.WriteStream,
    stderr: stream as unknown as NodeJS.WriteStream,
    signal: new AbortController().signal,
  })
  return { code, printed: String(stream.read() ?? '') }
}

test('--json makes JSON of all that every command prints', { timeout: 60_000 }, async (context) => {
  const folder = seed(context)
  const all = (line: string, printed: readonly string[]): void => {
    assert.ok(printed.length > 0, line)
    for (const text of printed) {
      if (/^\[exit \d+\]$/.test(text)) continue
      assert.doesNotThrow(() => JSON.parse(text.replace(/^! /, '')), `${line} printed ${text}`)
    }
  }
  for (const [name, line] of Object.entries(lines)) {
    all(line, folder.run(`asherah ${line} --json`))
    const wrong = await inProcess([...name.split(' '), '--json', '--no-such-flag'])
    all(name, wrong.printed.trimEnd().split('\n'))
  }
  for (const name of destructive) all(name, folder.run(`asherah ${lines[name]} --json --yes`))
})

test('without --yes nothing is changed', { timeout: 60_000 }, (context) => {
  const folder = seed(context)
  const first = everything(folder)
  for (const name of destructive) {
    const printed = folder.run(`asherah ${lines[name]}`)
    assert.ok(!printed.some((text) => text.startsWith('[exit')), printed.join('\n'))
    assert.deepEqual(everything(folder), first, name)
  }
  // The same lines do change something with it, or this would prove nothing.
  for (const name of ['keys restore', 'reencrypt', 'keys rotate', 'keys revoke', 'shred']) {
    const old = everything(folder)
    const config = name === 'keys restore' || name === 'keys revoke' ? '' : '--config new.json'
    const printed = folder.run(`asherah ${lines[name]} ${config} --yes`)
    assert.ok(!printed.some((text) => text.startsWith('[exit')), printed.join('\n'))
    assert.notDeepEqual(everything(folder), old, name)
  }
})

test('without a log nothing is done', { timeout: 60_000 }, (context) => {
  const folder = seed(context)
  mkdirSync(join(folder.path, 'folder'))
  symlinkSync('elsewhere', join(folder.path, 'link'))
  const untouched = everything(folder)
  const logs = ['missing/log', 'folder', 'link', '/dev/full']
  for (const [index, name] of destructive.entries()) {
    const log = logs[index % logs.length]
    const printed = folder.run(`asherah ${lines[name]} --yes --log ${log}`)
    assert.ok(
      printed.some((text) => text.includes('[ERR_ACTION_LOG]')),
      `${name}: ${printed.join('\n')}`,
    )
    const { rows } = everything(folder) as { rows: object }
    assert.deepEqual(rows, (untouched as { rows: object }).rows, name)
  }
})

describe('the log of what was done', () => {
  test('is added to, also behind a line that was cut short', (context) => {
    const folder = seed(context)
    const path = join(folder.path, 'asherah-actions.log')
    writeFileSync(path, '{"time":"2026-01-01T00:00:00.000Z","event":"did"}\n{"time":"2026-01-0')
    assert.ok(folder.run('asherah keys revoke --partition alice --yes').length > 0)
    const [first, second, ...rest] = readFileSync(path, 'utf8').trimEnd().split('\n')
    assert.deepEqual(
      [first, second],
      ['{"time":"2026-01-01T00:00:00.000Z","event":"did"}', '{"time":"2026-01-0'],
    )
    assert.deepEqual(
      rest.map((line) => JSON.parse(line).event),
      ['intends', 'did'],
    )
  })

  test('says what is intended before it is done, and that it was done only afterwards', {
    timeout: 30_000,
  }, async (context) => {
    const folder = seed(context)
    const path = join(folder.path, 'asherah-actions.log')
    const events = (): readonly string[] => {
      try {
        const text = readFileSync(path, 'utf8')
        return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).event]))
      } catch {
        // It is not there yet.
        return []
      }
    }
    // Nobody else can write meanwhile.
    const database = new DatabaseSync(join(folder.path, 'keys.db'))
    database.exec('BEGIN IMMEDIATE')
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
    const child = spawn(process.execPath, [main, 'keys', 'revoke', '--partition', 'alice', '--yes'], {
      cwd: folder.path,
      stdio: 'ignore',
    })
    context.after(() => child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    while (events().length === 0) await pause(10)
    await pause(200)
    assert.deepEqual(events(), ['intends'])
    database.exec('ROLLBACK')
    database.close()
    assert.deepEqual(await ended, [0, null])
    assert.deepEqual(events().slice(0, 2), ['intends', 'did'])
  })
})
