import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import { RacingProcess, readJournals } from '../../support/racing-process.ts'
import { SeededRandom } from '../../support/seeded-random.ts'
import {
  dynamoDbStore,
  type KeyRow,
  mariaDbStore,
  postgresStore,
  type SharedStore,
} from '../interop/stores.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-races-'))
after(() => rmSync(folder, { recursive: true }))

const processes = 8
const partitions = Array.from({ length: 50 }, (_, index) => `tenant-${index}`)
/** Between the start of a race and the last kill but one, in milliseconds, where the processes take no longer to start. */
const shortestRaceMs = 900
/** The last one is killed when it has been at every partition, at the latest after so long. */
const longestRaceMs = 30_000
const aws = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' }

type Store = Pick<SharedStore, 'ours' | 'rows' | 'drop'>

const stores: Readonly<Record<string, () => Promise<Store>>> = {
  SQLite: sqliteStore,
  PostgreSQL: () => postgresStore(),
  MariaDB: () => mariaDbStore(),
  DynamoDB: () => dynamoDbStore(),
}

const policies: Readonly<Record<string, Partial<AsherahConfig>>> = {
  'keys of 90 days': {},
  'keys of two seconds': { expireAfter: 2, createdPrecision: 1, checkInterval: 1 },
}

describe('processes that start at once and are killed at random', { timeout: 240_000 }, () => {
  const random = SeededRandom.fromEnvironment()
  for (const [storeName, open] of Object.entries(stores)) {
    for (const [policyName, policy] of Object.entries(policies)) {
      test(`over ${storeName}, with ${policyName}: what they acknowledged can be read, and each key was made once`, async (context) => {
        context.diagnostic(`seed ${random.seed}`)
        const store = await open()
        context.after(store.drop)
        const config: AsherahConfig = {
          serviceName: 'api',
          productId: 'catalog',
          kms: 'static',
          staticMasterKeyHex: '5c'.repeat(32),
          ...store.ours,
          ...policy,
        }
        const own = random.fork(`${storeName} ${policyName}`)
        const began = Math.floor(Date.now() / 1000)
        const journals = [...(await race(config, own)), ...(await race(config, own))]
        const ended = Math.floor(Date.now() / 1000)
        const { records, lost } = await readJournals(config, journals, aws)
        assert.deepEqual(lost, [])
        assert.ok(records >= partitions.length, `only ${records} records`)
        const rows = await store.rows()
        context.diagnostic(`${records} records under ${rows.length} keys`)
        checkRows(rows, policy.createdPrecision ?? 60, began, ended)
      })
    }
  }
})

/** One race from start to the last kill; returns its journals. */
async function race(config: AsherahConfig, random: SeededRandom): Promise<readonly string[]> {
  const names = Array.from({ length: processes }, (_, index) => `${index}-${random.between(0, 2 ** 32)}`)
  const journalOf = (name: string): string => join(folder, `${name}.jsonl`)
  const starting = performance.now()
  const racers = await Promise.all(
    names.map((name, index) =>
      RacingProcess.start(
        {
          kind: 'race',
          name,
          config,
          partitions,
          journal: journalOf(name),
          synchronous: index % 4 === 3,
        },
        aws,
      ),
    ),
  )
  // A machine on which they start slowly makes keys slowly too.
  const raceMs = Math.max(shortestRaceMs, (performance.now() - starting) * 0.9)
  for (const racer of racers) racer.go()
  await Promise.all(
    racers.map(async (racer, index) => {
      // The earliest points are those at which keys are being made.
      const point = (random.next() ** 2 * raceMs * (index + 1)) / processes
      await sleep(point)
      if (index === processes - 1) await untilRoundDone(journalOf(names[index] ?? ''))
      await racer.kill()
    }),
  )
  return names.map(journalOf)
}

async function untilRoundDone(journal: string): Promise<void> {
  const end = performance.now() + longestRaceMs
  const lines = (): number => readFileSync(journal, 'utf8').split('\n').length - 1
  while (lines() < partitions.length) {
    assert.ok(performance.now() < end, `no round was done in ${longestRaceMs} ms`)
    await sleep(50)
  }
}

/** One row for each id and step of time touched, and under each intermediate key the system key that it names. */
function checkRows(rows: readonly KeyRow[], precision: number, began: number, ended: number): void {
  const keys = rows.map(({ id, created }) => `${id} ${created}`)
  const steps = rows.map(({ id, created }) => `${id} ${Math.floor(created / precision)}`)
  assert.deepEqual(steps.toSorted(), [...new Set(steps)].toSorted(), 'two keys of one id and step')
  for (const { id, created, record } of rows) {
    assert.equal(created % precision, 0, `${id} ${created}`)
    assert.equal(record.Created, created)
    // A key that follows an expired one is dated a step later at most.
    assert.ok(created > began - precision && created <= ended + precision, `${id} ${created}`)
    const parent = record.ParentKeyMeta
    assert.equal(parent === undefined, id.startsWith('_SK_'), id)
    if (parent !== undefined) assert.ok(keys.includes(`${parent.KeyId} ${parent.Created}`), `${id}'s parent`)
  }
  const ids = new Set(rows.map(({ id }) => id))
  assert.equal(ids.size, partitions.length + 1)
}

async function sqliteStore(): Promise<Store> {
  const own = mkdtempSync(join(folder, 'sqlite-'))
  const path = join(own, 'keys.db')
  return {
    ours: { metastore: 'sqlite', connectionString: path },
    rows: async () => {
      using database = new DatabaseSync(path, { readOnly: true })
      return database
        .prepare("SELECT id, strftime('%s', created) AS created, key_record AS record FROM encryption_key")
        .all()
        .map(({ id, created, record }) => ({
          id: String(id),
          created: Number(created),
          record: JSON.parse(String(record)) as KeyRow['record'],
        }))
    },
    drop: async () => undefined,
  }
}
