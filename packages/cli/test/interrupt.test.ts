import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SessionFactory } from 'asherah'
import { sampleConfiguration } from './script-runner.ts'

/** Commands that are interrupted half-way: they end soon, say so, and leave nothing half done. */

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const limitMs = 30_000
const rows = 1_500
const day = 86_400_000

/** What a command did until it ended. */
interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'asherah-interrupt-'))

  constructor(context: TestContext) {
    context.after(() => rmSync(this.path, { recursive: true }))
    writeFileSync(this.of('asherah.json'), JSON.stringify(sampleConfiguration), { mode: 0o600 })
  }

  of(name: string): string {
    return join(this.path, name)
  }

  /** A factory whose clock was so many days ago. */
  factory(daysAgo = 0): SessionFactory {
    const now = Date.now() - daysAgo * day
    const clock = { now: () => now, monotonic: () => performance.now() }
    return new SessionFactory({
      ...sampleConfiguration,
      connectionString: this.of('keys.db'),
      clock,
    } as never)
  }

  /** Rows of the metastore whose id begins with it. */
  keys(prefix: string): number {
    if (!existsSync(this.of('keys.db'))) return 0
    const database = new DatabaseSync(this.of('keys.db'))
    try {
      const row = database
        .prepare('SELECT count(*) AS n FROM encryption_key WHERE id LIKE ?')
        .get(`${prefix}%`)
      return Number(row?.['n'])
    } finally {
      database.close()
    }
  }

  log(): readonly Readonly<Record<string, unknown>>[] {
    const text = readFileSync(this.of('asherah-actions.log'), 'utf8')
    assert.ok(text.endsWith('\n'))
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  start(context: TestContext, args: readonly string[]): Running {
    const child = spawn(process.execPath, [main, ...args], { cwd: this.path, stdio: 'pipe' })
    return new Running(context, child)
  }

  /** In a terminal of its own: what it shows is in `stdout`. */
  startInTerminal(context: TestContext, args: readonly string[]): Running {
    const command = [process.execPath, main, ...args].map((word) => `'${word}'`).join(' ')
    const child = spawn('script', ['-qfec', command, '/dev/null'], {
      cwd: this.path,
      stdio: 'pipe',
      env: { ...process.env, TERM: 'xterm' },
    })
    return new Running(context, child)
  }
}

class Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''

  constructor(context: TestContext, child: ChildProcess) {
    this.child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.ended = once(child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }))
    // A command that is interrupted does not read what is left.
    child.stdin?.on('error', () => undefined)
    context.after(() => child.kill('SIGKILL'))
  }

  /** Waits until something is so, while it runs. */
  async until(holds: (running: this) => boolean): Promise<void> {
    const end = performance.now() + limitMs
    while (!holds(this)) {
      assert.equal(this.child.exitCode, null, `it has ended: ${this.stdout}${this.stderr}`)
      assert.ok(performance.now() < end, `not within ${limitMs} ms: ${this.stdout}${this.stderr}`)
      await pause(10)
    }
  }

  async interrupt(signal: NodeJS.Signals): Promise<Ended> {
    const began = performance.now()
    this.child.kill(signal)
    const ended = await this.ended
    assert.ok(performance.now() - began < 10_000, 'it ended long after the signal')
    return ended
  }
}

function makeOrders(folder: Folder): void {
  const factory = folder.factory(100)
  const session = factory.getSession('all')
  const database = new DatabaseSync(folder.of('keys.db'))
  database.exec('CREATE TABLE orders (id INTEGER PRIMARY KEY, card TEXT); BEGIN')
  const insert = database.prepare('INSERT INTO orders (card) VALUES (?)')
  for (let row = 1; row <= rows; row++) insert.run(session.encryptString(`order ${row}`))
  database.exec('COMMIT')
  database.close()
  factory.close()
}

const reencrypt = [
  'reencrypt',
  '--table',
  'orders',
  '--columns',
  'card',
  '--partition',
  'all',
  '--older-than',
  '90d',
  '--yes',
]

describe('interrupted', { timeout: 180_000 }, () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`by ${signal}, reencrypt keeps its state, and goes on from it`, async (context) => {
      const folder = new Folder(context)
      makeOrders(folder)
      const state = folder.of('asherah-reencrypt-orders.json')
      const slow = folder.start(context, [...reencrypt, '--rows-per-second', '200'])
      await slow.until(() => existsSync(state))
      const { code, stdout, stderr } = await slow.interrupt(signal)
      assert.deepEqual([code, stdout], [130, ''])
      assert.equal(
        stderr,
        'asherah: interrupted [ERR_INTERRUPTED]\nhint: type the same command again: it goes on where it stopped\n',
      )
      const { progress } = JSON.parse(readFileSync(state, 'utf8'))
      assert.ok(progress.counts.renewed > 0 && progress.counts.renewed < rows)
      assert.deepEqual(
        folder.log().map(({ event }) => event),
        ['intends', 'failed'],
      )
      assert.deepEqual(Object(folder.log()[1]?.['what']).counts, progress.counts)

      const again = await folder.start(context, [...reencrypt, '--json']).ended
      assert.equal(again.code, 0, again.stderr)
      const counts = JSON.parse(again.stdout)
      assert.deepEqual([counts.rows, counts.renewed], [rows, rows])
      assert.deepEqual(
        readdirSync(folder.path).filter((name) => /reencrypt|part/.test(name)),
        [],
      )
    })
  }

  test('keys rewrap goes on where it stopped', async (context) => {
    const folder = new Folder(context)
    const generations = 150
    for (let generation = generations; generation > 0; generation--) {
      const factory = folder.factory(100 * generation)
      factory.getSession('alice').encryptString('text')
      factory.close()
    }
    const next = { ...sampleConfiguration, staticMasterKeyHex: '6d'.repeat(32) }
    writeFileSync(folder.of('new.json'), JSON.stringify(next))
    const rewrap = ['keys', 'rewrap', '--to-config', 'new.json', '--yes']
    const running = folder.start(context, rewrap)
    await running.until(({ stdout }) => stdout.includes('rewrapped'))
    const { code, stdout, stderr } = await running.interrupt('SIGINT')
    assert.equal(code, 130)
    assert.match(stderr, /interrupted.*\nhint: .*goes on where it stopped/)
    const told = stdout.split('\n').filter((line) => line.startsWith('rewrapped')).length
    assert.ok(told > 0 && told < generations, `${told} of ${generations}`)
    assert.equal(folder.log().filter(({ event }) => event === 'did').length, told)
    const again = await folder.start(context, [...rewrap, '--json']).ended
    const { rewrapped, done } = JSON.parse(again.stdout.trimEnd().split('\n').at(-1) ?? '')
    assert.deepEqual([rewrapped, done], [generations - told, told])
  })

  test('keys rotate stops, though its backend never lets the event loop turn', async (context) => {
    const folder = new Folder(context)
    const factory = folder.factory()
    for (let partition = 0; partition < 400; partition++)
      factory.getSession(`p${partition}`).encryptString('text')
    factory.close()
    const running = folder.start(context, ['keys', 'rotate', '--service', '--yes'])
    await running.until(({ stdout }) => stdout.includes('rotated'))
    const { code, stderr } = await running.interrupt('SIGINT')
    assert.equal(code, 130, stderr)
    const events = folder.log().map(({ event }) => event)
    assert.ok(events.length < 800, 'it was done before')
    // Each that it began, it finished.
    assert.deepEqual(events.slice(-2), ['intends', 'did'])
    assert.equal(folder.keys('_'), 401 + events.length / 2)
  })

  for (const from of ['stdin', 'a file']) {
    test(`encrypt from ${from} leaves no file that looks whole`, async (context) => {
      const folder = new Folder(context)
      const line = '{"email":"someone@example.com"}\n'
      const rowFlags = [
        '--format',
        'jsonl',
        '--columns',
        'email',
        '--partition',
        'all',
        '--out',
        'sealed.jsonl',
      ]
      const input = from === 'stdin' ? [] : ['--in', 'rows.jsonl']
      if (from !== 'stdin') writeFileSync(folder.of('rows.jsonl'), line.repeat(1_500_000))
      const running = folder.start(context, ['encrypt', ...rowFlags, ...input])
      if (from === 'stdin') running.child.stdin?.write(line.repeat(5_000))
      const part = (): string | undefined => readdirSync(folder.path).find((name) => name.endsWith('.part'))
      await running.until(() => statSync(folder.of(part() ?? 'asherah.json')).size > 500_000)
      const { code, stdout, stderr } = await running.interrupt('SIGTERM')
      assert.deepEqual([code, stdout], [130, ''])
      assert.match(stderr, /^asherah: interrupted \[ERR_INTERRUPTED\]/)
      assert.deepEqual(
        readdirSync(folder.path).filter((name) => name.startsWith('sealed')),
        [],
      )
    })
  }

  test('shred says, while it waits, that the keys are destroyed and the proof is not whole', async (context) => {
    const folder = new Folder(context)
    const factory = folder.factory()
    factory.getSession('alice').encryptString('text')
    factory.close()
    const running = folder.start(context, [
      'shred',
      '--partition',
      'alice',
      '--yes',
      '--check-interval',
      '60s',
    ])
    await running.until(() => folder.keys('_IK_') === 0)
    await pause(500)
    const { code, stderr } = await running.interrupt('SIGINT')
    assert.equal(code, 130)
    assert.match(
      stderr,
      /the keys are destroyed; that running processes have dropped them was not waited for/,
    )
    assert.deepEqual(
      folder.log().map(({ event }) => event),
      ['intends', 'did'],
    )
  })

  test('bench deletes the keys that it wrote', async (context) => {
    const folder = new Folder(context)
    const factory = folder.factory()
    factory.getSession('alice').encryptString('text')
    factory.close()
    const sizes = ['--partition', 'alice', '--sizes', '64', '--time', '1ms']
    const running = folder.start(context, ['bench', ...sizes, '--cold', '5000', '--yes'])
    await running.until(() => folder.keys('_IK_asherah-bench-') > 50)
    const { code } = await running.interrupt('SIGINT')
    assert.equal(code, 130)
    assert.equal(folder.keys('_IK_asherah-bench-'), 0)
    assert.deepEqual(
      folder.log().map(({ event }) => event),
      ['intends', 'failed'],
    )
    const long = folder.start(context, ['bench', '--partition', 'alice', '--sizes', '64', '--time', '60s'])
    // Its handlers of signals stand before anything is measured.
    await pause(1500)
    assert.equal((await long.interrupt('SIGTERM')).code, 130)
  })

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`by ${signal}, serve ends in order, which is no failure`, async (context) => {
      const folder = new Folder(context)
      const running = folder.start(context, ['serve', '--socket-file', 's', '--config', 'asherah.json'])
      await running.until(({ stderr }) => stderr.includes('serving on'))
      const { code, stderr } = await running.interrupt(signal)
      assert.equal(code, 0, stderr)
      assert.match(stderr, /shutting down.*\n.*stopped\n$/)
      assert.ok(!existsSync(folder.of('s')))
    })
  }
})

describe('a terminal', { timeout: 60_000 }, () => {
  const bar = /\d+ % \| \d+\/\d+/

  /** What is left on the lines of a terminal that is only ever written to at its end. */
  function linesOf(text: string): readonly string[] {
    const shown = text.replaceAll('\u001b[', '␛')
    return shown.split('\r\n').map((line) => {
      const last = line.split(/\r␛K|␛1G␛0J|␛1G(?!␛)/).at(-1) ?? ''
      return last.replaceAll(/␛[?\d]*[A-Za-z]/g, '')
    })
  }

  test('shows a bar beside answers, and neither is left in the other', async (context) => {
    const folder = new Folder(context)
    const factory = folder.factory()
    for (let partition = 0; partition < 500; partition++)
      factory.getSession(`p${partition}`).encryptString('text')
    factory.close()
    const { code, stdout } = await folder.startInTerminal(context, ['keys', 'rotate', '--service', '--yes'])
      .ended
    assert.equal(code, 0)
    assert.match(stdout, bar)
    const lines = linesOf(stdout)
    assert.equal(lines.filter((line) => line.startsWith('rotated ')).length, 501)
    assert.deepEqual(
      lines.filter((line) => bar.test(line)),
      [],
    )
    assert.ok(lines.includes('501 rotated.'))
    assert.ok(
      stdout.lastIndexOf('\u001b[?25h') > stdout.lastIndexOf('\u001b[?25l'),
      'the cursor is shown again',
    )
  })

  test('is clean after Ctrl-C', async (context) => {
    const folder = new Folder(context)
    makeOrders(folder)
    const running = folder.startInTerminal(context, [...reencrypt, '--rows-per-second', '200'])
    await running.until(
      ({ stdout }) => bar.test(stdout) && existsSync(folder.of('asherah-reencrypt-orders.json')),
    )
    running.child.stdin?.write('\u0003')
    const { code, stdout } = await running.ended
    assert.equal(code, 130)
    assert.ok(
      stdout.lastIndexOf('\u001b[?25h') > stdout.lastIndexOf('\u001b[?25l'),
      'the cursor is shown again',
    )
    const lines = linesOf(stdout)
    assert.deepEqual(
      lines.filter((line) => bar.test(line)),
      [],
    )
    assert.ok(lines.includes('asherah: interrupted [ERR_INTERRUPTED]'), stdout)
  })
})
