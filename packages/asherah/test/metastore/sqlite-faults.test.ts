import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { AsherahError } from '../../src/errors.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'
import { sampleRecord } from './contract.ts'
import { atOnce, temporaryDirectory } from './sqlite-file.ts'

const writer = fileURLToPath(new URL('sqlite-writer.ts', import.meta.url))
const metastoreUrl = new URL('../../src/metastore/sqlite.ts', import.meta.url).href
const isRoot = process.getuid?.() === 0
const nobody = 65_534

function metastoreError(message: RegExp, errcode?: number) {
  return (error: unknown): true => {
    assert.ok(error instanceof AsherahError, String(error))
    assert.equal(error.code, 'ERR_METASTORE')
    assert.match(error.message, message)
    assert.ok(error.cause instanceof Error)
    if (errcode !== undefined) assert.equal((error.cause as { errcode?: number }).errcode, errcode)
    return true
  }
}

function accepted(output: string): number[] {
  return [...output.matchAll(/^(\d+)$/gm)].map(([line]) => Number(line))
}

function failure(output: string): { code: string; message: string; errcode?: number } {
  const text = /^failed (.*)$/m.exec(output)?.[1]
  assert.ok(text !== undefined, `the writer failed: ${output.slice(-200)}`)
  return JSON.parse(text) as { code: string; message: string; errcode?: number }
}

function checkWhole(path: string, created: readonly number[], bytes = 60): void {
  const database = new DatabaseSync(path)
  assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
  database.close()
  const store = new SqliteMetastore(path)
  for (const time of created) {
    const encryptedKey = new Uint8Array(bytes).fill(time & 0xff)
    assert.deepEqual(store.load('_SK_a', time), sampleRecord(time, time, { encryptedKey }), `row ${time}`)
  }
  atOnce(store.close())
}

test('two processes share the file: each sees at once what the other stores', async (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const mine = new SqliteMetastore(path)
  const child = spawn(process.execPath, [writer, path, '1000'], { stdio: ['ignore', 'pipe', 'inherit'] })
  context.after(() => child.kill('SIGKILL'))
  let seen = 0
  for await (const line of lines(child)) {
    if (!/^\d+$/.test(line)) continue
    assert.ok((atOnce(mine.loadLatest('_SK_a'))?.created ?? 0) >= Number(line))
    // Both write, so each has to wait for the other's lock now and then.
    assert.equal(await mine.store('_IK_mine', Number(line), sampleRecord(Number(line), 1)), true)
    seen += 1
    if (seen === 50) break
  }
  child.kill('SIGKILL')
  await mine.close()
  assert.equal(seen, 50)
})

test('a writer killed at any moment loses no row that it was told is stored', async (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const all: number[] = []
  for (let round = 0; round < 8; round += 1) {
    // Times of its own: a row may be stored and its writer killed before it could say so.
    const first = (round + 1) * 1_000_000
    const child = spawn(process.execPath, [writer, path, String(first)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const wanted = round * 4
    let output = ''
    let dying = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (dying || !output.includes('open\n') || accepted(output).length < wanted) return
      dying = true
      setTimeout(() => child.kill('SIGKILL'), Math.random() * 10)
    })
    const [, signal] = await once(child, 'close')
    assert.equal(signal, 'SIGKILL', `the writer ended by itself: ${output.slice(-400)}`)
    // The last line may be cut short.
    const rows = accepted(output.slice(0, output.lastIndexOf('\n') + 1))
    assert.ok(rows.length >= wanted)
    all.push(...rows)
    checkWhole(path, all)
  }
})

test('eight processes that open a new file at the same moment all succeed', async (context) => {
  const directory = temporaryDirectory(context)
  for (let round = 0; round < 3; round += 1) {
    const path = join(directory, `keys-${round}.db`)
    const program = `
      import { SqliteMetastore } from ${JSON.stringify(metastoreUrl)}
      process.stdout.write('ready\\n')
      process.stdin.once('data', async () => {
        const store = new SqliteMetastore(${JSON.stringify(path)})
        await store.store('_SK_a', process.pid, { created: process.pid, encryptedKey: Uint8Array.of(1) })
        store.close()
      })`
    const children = Array.from({ length: 8 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
    await Promise.all(children.map((child) => once(child.stdout, 'data')))
    for (const child of children) child.stdin.end('go\n')
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0] as number))
    assert.deepEqual(
      codes,
      children.map(() => 0),
    )
    const store = new SqliteMetastore(path)
    for (const { pid = 0 } of children) assert.equal(atOnce(store.load('_SK_a', pid))?.created, pid)
    atOnce(store.close())
  }
})

test('a lock that another connection keeps is waited for, then a typed error; reads go on', async (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const store = new SqliteMetastore(path, { busyTimeoutMs: 120 })
  atOnce(store.store('_SK_a', 60, sampleRecord(60, 1)))
  const other = new DatabaseSync(path)
  other.exec('BEGIN IMMEDIATE')
  const start = performance.now()
  await assert.rejects(
    async () => store.store('_SK_a', 120, sampleRecord(120, 1)),
    metastoreError(
      /SQLite metastore .*keys\.db could not be written: another connection held its lock.*busy timeout/s,
      5,
    ),
  )
  assert.ok(performance.now() - start >= 100)
  assert.deepEqual(store.loadLatest('_SK_a'), sampleRecord(60, 1))
  other.exec('ROLLBACK')
  assert.equal(store.store('_SK_a', 120, sampleRecord(120, 1)), true)
  other.close()
  atOnce(store.close())
})

test('a file that is locked as a whole cannot be opened within the busy timeout', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const other = new DatabaseSync(path)
  other.exec('CREATE TABLE t (a); BEGIN EXCLUSIVE')
  const start = performance.now()
  assert.throws(
    () => new SqliteMetastore(path, { busyTimeoutMs: 100 }),
    metastoreError(/could not be opened: another/, 5),
  )
  const waited = performance.now() - start
  assert.ok(waited >= 90 && waited < 5_000, `${waited} ms`)
  other.close()
})

test('a file that this user cannot write is a typed error', (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 'keys.db')
  const maker = new SqliteMetastore(path)
  atOnce(maker.store('_SK_a', 60, sampleRecord(60, 1)))
  atOnce(maker.close())
  chmodSync(path, 0o444)
  chmodSync(directory, 0o555)
  try {
    checkUnwritable(path)
  } finally {
    chmodSync(directory, 0o755)
  }
})

function checkUnwritable(path: string): void {
  const open = (file: string): string => runUnprivileged(`new SqliteMetastore(${JSON.stringify(file)})`)
  assert.match(
    open(path),
    /^ERR_METASTORE The SQLite metastore .* could not be opened: it cannot be (written|opened)\. /,
  )
  assert.match(open(`${path}.new`), /^ERR_METASTORE .* could not be created: access was denied/)
}

test('a file that this user cannot read is a typed error', (context) => {
  const directory = temporaryDirectory(context)
  chmodSync(directory, 0o755)
  const path = join(directory, 'keys.db')
  atOnce(new SqliteMetastore(path).close())
  chmodSync(path, isRoot ? 0o600 : 0)
  assert.match(
    runUnprivileged(`new SqliteMetastore(${JSON.stringify(path)})`),
    /^ERR_METASTORE .* it cannot be opened\. /,
  )
})

test('a full disk is a typed error, and what was stored before stays readable', (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 'keys.db')
  // Blocks of 512 bytes: SQLite's writes fail beyond 256 KiB, as they do on a full disk.
  const command = 'ulimit -f 512; exec "$0" "$@"'
  const output = execFileSync('sh', ['-c', command, process.execPath, writer, path, '1', '20000'], {
    encoding: 'utf8',
  })
  const rows = accepted(output)
  assert.ok(rows.length > 2, `${rows.length} rows`)
  const { code, message, errcode } = failure(output)
  assert.equal(code, 'ERR_METASTORE')
  assert.match(message, /could not be written: the file system reported an error.*free space/)
  assert.equal((errcode ?? 0) & 0xff, 10)
  assert.ok(output.includes(`latest ${rows.at(-1)}\n`))
  checkWhole(path, rows, 20_000)
})

test('SQLITE_FULL is a typed error, and the store works again once there is room', () => {
  const database = new DatabaseSync(':memory:')
  const store = SqliteMetastore.fromDatabase(database)
  database.exec('PRAGMA max_page_count = 20')
  let created = 0
  assert.throws(
    () => {
      for (; created < 100; created += 1)
        atOnce(
          store.store('_SK_a', created, sampleRecord(created, 1, { encryptedKey: new Uint8Array(9_000) })),
        )
    },
    metastoreError(/could not be written: the disk is full\. Free some space; nothing was stored/, 13),
  )
  assert.ok(created > 1)
  assert.equal(atOnce(store.loadLatest('_SK_a'))?.created, created - 1)
  database.exec('PRAGMA max_page_count = 200')
  assert.equal(store.store('_SK_a', created, sampleRecord(created, 1)), true)
  database.close()
})

test('a full file system is a typed error', { skip: tmpfsIsMissing() }, (context) => {
  const directory = temporaryDirectory(context)
  const mount = `mount -t tmpfs -o size=400k tmpfs ${JSON.stringify(directory)} && exec "$0" "$@"`
  const path = join(directory, 'keys.db')
  const output = execFileSync(
    'unshare',
    [...namespaces(), 'sh', '-c', mount, process.execPath, writer, path, '1', '20000'],
    {
      encoding: 'utf8',
    },
  )
  assert.ok(accepted(output).length > 2)
  const { code, message, errcode } = failure(output)
  assert.equal(code, 'ERR_METASTORE')
  assert.match(message, /the disk is full/)
  assert.equal(errcode, 13)
  assert.ok(output.includes(`latest ${accepted(output).at(-1)}\n`))
})

test('a path that cannot be a database is a typed error that says what to do', (context) => {
  const directory = temporaryDirectory(context)
  const at = (name: string): string => join(directory, name)
  mkdirSync(at('folder'))
  writeFileSync(at('text'), 'these are notes, not a database\n'.repeat(200))
  symlinkSync(at('nowhere'), at('dangling'))
  const cases: (readonly [string, RegExp])[] = [
    [at('missing/keys.db'), /could not be created: its directory does not exist\. Create it/],
    [at('text/keys.db'), /not a directory/],
    [at('folder'), /it cannot be opened\. Check that it is a file/],
    [at('text'), /it is not an SQLite database\. Give the path of another file/],
    [at('dangling'), /symbolic link to a file that does not exist/],
    [at('with\0nul'), /could not be created/],
  ]
  for (const [path, message] of cases)
    assert.throws(() => new SqliteMetastore(path), metastoreError(message), path)
  assert.equal(readFileSync(at('text'), 'utf8').length, 32 * 200)
  assert.ok(!existsSync(at('nowhere')))
})

test('a damaged file is a typed error, never an absent row', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  const maker = new SqliteMetastore(path)
  for (let created = 0; created < 200; created += 1)
    atOnce(maker.store('_SK_a', created, sampleRecord(created, 1)))
  atOnce(maker.close())
  const bytes = readFileSync(path)
  bytes.fill(0xa5, 4096)
  writeFileSync(path, bytes)
  const store = new SqliteMetastore(path)
  assert.throws(() => store.load('_SK_a', 100), metastoreError(/damaged\. Restore it from a backup/))
  assert.throws(() => store.loadLatest('_SK_a'), metastoreError(/damaged/))
  atOnce(store.close())
})

test('bad options are refused before anything is made', (context) => {
  const path = join(temporaryDirectory(context), 'keys.db')
  for (const busyTimeoutMs of [-1, 0.5, Number.NaN, 2 ** 31, '5' as unknown as number]) {
    assert.throws(() => new SqliteMetastore(path, { busyTimeoutMs }), { code: 'ERR_CONFIG_INVALID' })
  }
  assert.throws(() => new SqliteMetastore(''), { code: 'ERR_CONFIG_INVALID' })
  assert.ok(!existsSync(path))
})

test('a new file and its log are readable by their owner alone; an existing file keeps its mode', (context) => {
  const directory = temporaryDirectory(context)
  const mask = process.umask(0)
  context.after(() => process.umask(mask))
  const path = join(directory, 'keys.db')
  const store = new SqliteMetastore(path)
  atOnce(store.store('_SK_a', 60, sampleRecord(60, 1)))
  for (const file of [path, `${path}-wal`, `${path}-shm`])
    assert.equal(statSync(file).mode & 0o777, 0o600, file)
  atOnce(store.close())

  chmodSync(path, 0o640)
  const again = new SqliteMetastore(path)
  atOnce(again.store('_SK_a', 120, sampleRecord(120, 1)))
  assert.equal(statSync(path).mode & 0o777, 0o640)
  atOnce(again.close())
})

test('a relative path, and one that looks like a URI, are plain files', (context) => {
  const directory = temporaryDirectory(context)
  mkdirSync(join(directory, 'file:'))
  const path = `${relative(process.cwd(), directory)}/file:/keys.db?mode=memory`
  const store = new SqliteMetastore(path)
  atOnce(store.store('_SK_a', 60, sampleRecord(60, 1)))
  atOnce(store.close())
  assert.ok(existsSync(join(directory, 'file:', 'keys.db?mode=memory')))
})

test('a table that would let two rows win, or lacks a column, is refused', () => {
  for (const columns of [
    'id TEXT, created TIMESTAMP, key_record TEXT',
    'id TEXT PRIMARY KEY, created TIMESTAMP, key_record TEXT',
    'id TEXT, created TIMESTAMP, PRIMARY KEY (id, created)',
  ]) {
    const database = new DatabaseSync(':memory:')
    database.exec(`CREATE TABLE encryption_key (${columns})`)
    assert.throws(
      () => SqliteMetastore.fromDatabase(database),
      metastoreError(/could not be opened: .*cause.*\(/s, 1),
    )
    assert.equal(database.isOpen, true)
    database.close()
  }
})

test('a Node without node:sqlite gets an error that names better-sqlite3', () => {
  const program = `
    import { SqliteMetastore } from ${JSON.stringify(metastoreUrl)}
    try { new SqliteMetastore(':memory:') } catch (error) { console.log(error.code, error.message) }`
  const output = execFileSync(
    process.execPath,
    ['--no-experimental-sqlite', '--input-type=module', '-e', program],
    {
      encoding: 'utf8',
    },
  )
  assert.match(output, /^ERR_DRIVER_MISSING .*"npm install better-sqlite3".*SqliteMetastore\.fromDatabase/s)
})

test('importing the module opens nothing and warns of nothing', () => {
  const program = `
    import ${JSON.stringify(metastoreUrl)}
    console.log(process.moduleLoadList.some((name) => /^NativeModule sqlite$/.test(name)))`
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.equal(output, 'false\n')
})

async function* lines(child: ChildProcess): AsyncGenerator<string> {
  assert.ok(child.stdout !== null)
  let rest = ''
  for await (const text of child.stdout.setEncoding('utf8')) {
    const parts = `${rest}${text as string}`.split('\n')
    rest = parts.pop() ?? ''
    yield* parts
  }
}

/** What an expression throws, as `CODE message`, in a process that has not root's rights over files. */
function runUnprivileged(expression: string): string {
  const program = `
    const { SqliteMetastore } = await import(process.argv[1])
    if (process.getuid() === 0) { process.setgroups([]); process.setgid(${nobody}); process.setuid(${nobody}) }
    try { ${expression}; console.log('no error') } catch (error) { console.log(error.code, error.message) }`
  return execFileSync(process.execPath, ['--input-type=module', '-e', program, metastoreUrl], {
    encoding: 'utf8',
  })
}

function namespaces(): string[] {
  return isRoot ? ['--mount'] : ['--user', '--map-root-user', '--mount']
}

function tmpfsIsMissing(): string | false {
  try {
    execFileSync('unshare', [...namespaces(), 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return false
  } catch {
    return 'a file system cannot be mounted here; the size limit test above stands for it'
  }
}
