import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { type ApplicationDialect, openApplicationDatabase } from './application-database.ts'
import type { WriterTask } from './application-writer.ts'
import { CommandFolder, jsonLines } from './command-process.ts'

/**
 * Records sealed anew by several processes, of which some are killed, while an application writes: afterwards each row holds
 * what the application wrote last, under the new key, and nothing else has changed.
 */

const partitions = 20
const day = 86_400_000

interface Place {
  readonly dialect: ApplicationDialect
  /** Where the records are: for the application, and in the file of `--url-file`. */
  readonly url: string
  readonly config: Pick<AsherahConfig, 'metastore'> & Partial<AsherahConfig>
  readonly integer: string
  drop(): Promise<void>
}

interface Case {
  readonly rows: number
  /** The columns of the primary key. `owner`, of which there are few, is the partition too. */
  readonly key: 'id' | 'owner,id'
  readonly ranges: number
  /** Runs of each range that are killed before one is let to its end. */
  readonly kills: number
  /** A killed run lives so long at most after it has shown its first state, in milliseconds. */
  readonly lifeMs: number
  readonly pauseMs: number
  readonly open: (folder: CommandFolder) => Promise<Place>
}

const postgresPlace = async (): Promise<Place> => {
  const { postgres } = testServers()
  const database = await createPostgresDatabase(postgres)
  await database.query(`GRANT CREATE ON SCHEMA public TO ${postgres.limited.user}`)
  const url = database.url()
  return {
    dialect: 'postgres',
    url,
    config: { metastore: 'rdbms', connectionString: url },
    integer: 'BIGINT',
    drop: () => database.drop(),
  }
}

const mariaDbPlace = async (): Promise<Place> => {
  const { mariadb } = testServers()
  const database = await createMariaDbDatabase(mariadb)
  await database.query(
    `GRANT CREATE, SELECT, INSERT, UPDATE ON ${database.name}.* TO ${mariadb.limited.user}@'%'`,
  )
  const url = database.url()
  return {
    dialect: 'mysql',
    url,
    config: { metastore: 'rdbms', connectionString: url },
    integer: 'BIGINT',
    drop: () => database.drop(),
  }
}

const sqlitePlace = async (folder: CommandFolder): Promise<Place> => ({
  dialect: 'sqlite',
  url: join(folder.path, 'orders.db'),
  config: { metastore: 'sqlite', connectionString: join(folder.path, 'keys.db') },
  integer: 'INTEGER',
  drop: async () => {},
})

const postgres = { ranges: 4, kills: 2, lifeMs: 1_200, pauseMs: 1, open: postgresPlace } as const
const mariaDb = { ranges: 2, kills: 1, lifeMs: 400, pauseMs: 1, open: mariaDbPlace } as const
const sqlite = { ranges: 2, kills: 1, lifeMs: 200, pauseMs: 5, open: sqlitePlace } as const

const cases: Readonly<Record<string, Case>> = {
  PostgreSQL: { ...postgres, rows: 200_000, key: 'id' },
  MariaDB: { ...mariaDb, rows: 6_000, key: 'id' },
  SQLite: { ...sqlite, rows: 20_000, key: 'id' },
  'PostgreSQL by owner and id': { ...postgres, rows: 80_000, key: 'owner,id' },
  'MariaDB by owner and id': { ...mariaDb, rows: 6_000, key: 'owner,id' },
  'SQLite by owner and id': { ...sqlite, rows: 20_000, key: 'owner,id' },
}

function ownerOf(id: number): string {
  return `owner-${id % partitions}`
}

/** When the intermediate key of a record was made. */
function createdOf(record: string): number {
  return (JSON.parse(record) as { Key: { ParentKeyMeta: { Created: number } } }).Key.ParentKeyMeta.Created
}

/** Rows that were written a hundred days ago. */
async function seed(
  config: AsherahConfig,
  { dialect, url, integer }: Place,
  { rows, key }: Pick<Case, 'rows' | 'key'>,
): Promise<void> {
  const now = Date.now() - 100 * day
  const factory = new SessionFactory({
    ...config,
    clock: { now: () => now, monotonic: () => performance.now() },
  })
  const sessions = new Map(
    Array.from({ length: partitions }, (_, index) => {
      const owner = `owner-${index}`
      return [owner, factory.getSession(owner)] as const
    }),
  )
  await factory.warm(sessions.keys())
  const database = await openApplicationDatabase(dialect, url)
  await database.run(
    `CREATE TABLE orders (id ${integer}, owner VARCHAR(40) NOT NULL, card TEXT, note VARCHAR(40), PRIMARY KEY (${key}))`,
  )
  await database.run('BEGIN')
  const batch = 1000
  for (let first = 1; first <= rows; first += batch) {
    const values = Array.from({ length: Math.min(batch, rows - first + 1) }, (_, index) => {
      const id = first + index
      const record = sessions.get(ownerOf(id))?.encryptString(`order ${id}`) ?? ''
      return [id, ownerOf(id), record, `note ${id}`]
    })
    const places = values.map(() => '(?, ?, ?, ?)').join()
    await database.run(`INSERT INTO orders (id, owner, card, note) VALUES ${places}`, values.flat())
  }
  await database.run('COMMIT')
  await database.close()
  await factory.closeAsync()
}

function startWriter(task: WriterTask): ChildProcess {
  const program = fileURLToPath(new URL('application-writer.ts', import.meta.url))
  return spawn(process.execPath, [program, JSON.stringify(task)], { stdio: ['pipe', 'pipe', 'inherit'] })
}

/** Runs it and kills it at some moment after it has written its state; false when it was done before. */
async function runAndKill(folder: CommandFolder, args: readonly string[], state: string, lifeMs: number) {
  const child = folder.start(...args)
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  let running = true
  void closed.then(() => {
    running = false
  })
  child.stdout?.resume()
  const before = existsSync(state) ? readFileSync(state, 'utf8') : ''
  while (running && (!existsSync(state) || readFileSync(state, 'utf8') === before)) await pause(5)
  await Promise.race([closed, pause(Math.random() * lifeMs)])
  child.kill('SIGKILL')
  return (await closed)[1] === 'SIGKILL'
}

describe('reencrypt', { timeout: 280_000 }, () => {
  for (const [name, { rows, key, ranges, kills, lifeMs, pauseMs, open }] of Object.entries(cases)) {
    test(`${rows} rows of ${name}, while an application writes`, async (context) => {
      const folder = new CommandFolder()
      const place = await open(folder)
      context.after(async () => {
        await place.drop()
        folder.remove()
      })
      const { dialect, url } = place
      const config: AsherahConfig = {
        serviceName: 'api',
        productId: 'catalog',
        kms: 'static',
        staticMasterKeyHex: '5c'.repeat(32),
        ...place.config,
      }
      folder.write('asherah.json', config)
      writeFileSync(join(folder.path, 'url'), dialect === 'sqlite' ? `sqlite://${url}` : url, { mode: 0o600 })
      const began = performance.now()
      await seed(config, place, { rows, key })
      const seeded = performance.now()

      const common = ['reencrypt', '--table', 'orders', '--columns', 'card', '--partition-column', 'owner']
      const where = ['--url-file', 'url', '--key-column', key, '--older-than', '90d']
      const bounds = await folder.json(...common, ...where, '--split', String(ranges))
      assert.equal(bounds.length, ranges)
      const writer = startWriter({ config, dialect, url, rows, partitions, pauseMs })
      assert.ok(writer.stdout !== null)
      const told = textOf(writer.stdout)

      let killed = 0
      const outcomes = await Promise.all(
        bounds.map(async (range, index) => {
          const flags = Object.entries(range).map(([flag, bound]) => `--${flag}=${bound}`)
          const state = join(folder.path, `state-${index}.json`)
          const args = [...common, ...where, ...flags, '--state', state, '--yes', '--json']
          for (let kill = 0; kill < kills; kill++) {
            if (!(await runAndKill(folder, args, state, lifeMs))) return undefined
            killed += 1
          }
          assert.ok(existsSync(state), 'a run that was killed left its state')
          const last = await folder.run(...args)
          assert.equal(last.code, 0, last.stderr)
          assert.ok(!existsSync(state), 'a run at its end leaves none')
          return jsonLines(last.stdout).at(-1)
        }),
      )
      const renewed = performance.now()
      writer.stdin?.end()
      const [code] = (await once(writer, 'exit')) as [number | null]
      assert.equal(code, 0, 'the application met no error, such as a deadlock')
      const { writes, written } = JSON.parse(await told) as {
        readonly writes: number
        readonly written: readonly (readonly [number, string])[]
      }
      assert.ok(killed > 0, 'some were killed')
      assert.ok(writes > 50, `the application wrote ${writes} records`)
      for (const outcome of outcomes) {
        // A run that went on counts on from its state.
        if (outcome !== undefined) assert.equal(outcome['rows'], rows / ranges)
      }

      const expected = new Map(written)
      const factory = new SessionFactory(config)
      const database = await openApplicationDatabase(dialect, url)
      const newest = Date.now() / 1000 - 90 * 86_400
      let seen = 0
      for (let last = 0; ; ) {
        const page = await database.run(
          'SELECT id, owner, card, note FROM orders WHERE id > ? ORDER BY id LIMIT 5000',
          [last],
        )
        if (page.length === 0) break
        for (const [id = '', owner = '', card = '', note] of page) {
          last = Number(id)
          seen += 1
          assert.equal(last, seen)
          assert.equal(owner, ownerOf(last))
          assert.equal(note, `note ${id}`)
          const created = createdOf(card)
          assert.ok(created > newest, `row ${id} is under the old key`)
          const text = await factory.getSession(owner).decryptStringAsync(card)
          assert.equal(text, expected.get(last) ?? `order ${id}`)
        }
      }
      assert.equal(seen, rows)
      await database.close()
      await factory.closeAsync()
      const seconds = (from: number, to: number): string => ((to - from) / 1000).toFixed(1)
      context.diagnostic(
        `seeded in ${seconds(began, seeded)} s, sealed anew in ${seconds(seeded, renewed)} s with ${killed} kills and ` +
          `${writes} writes, checked in ${seconds(renewed, performance.now())} s`,
      )
    })
  }
})
