import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import type { PeerMetastore } from '../../support/servers/peer.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { runTool } from '../../support/servers/tool.ts'
import { masterKeyHex, Peers, productId, serviceName } from './participants.ts'

/** That what `docs/migrating.md` says to run does what it says. */

const guide = readFileSync(new URL('../../../docs/migrating.md', import.meta.url), 'utf8')
const library = new URL('../../../packages/asherah/src/index.ts', import.meta.url).href
const partition = 'migration-check'
const { postgres, mariadb } = testServers()
const folder = mkdtempSync(join(tmpdir(), 'asherah-migrating-'))

let peers: Peers

before(async () => {
  peers = await Peers.start()
})

after(async () => {
  await peers.stop()
  rmSync(folder, { recursive: true })
})

/** The statement under this comment. */
function statement(dialect: string): string {
  const [, sql = ''] = new RegExp(`^-- ${dialect}: must return nothing\\n([^;]+;)`, 'm').exec(guide) ?? []
  assert.ok(sql.startsWith('SELECT'))
  return sql
}

/** Runs the script of the guide with this environment. */
function check(record: string, env: NodeJS.ProcessEnv): Promise<string> {
  const [, code = ''] = /```js\n(\/\/ check\.mjs[\s\S]*?)```/.exec(guide) ?? []
  const script = join(folder, 'check.mjs')
  writeFileSync(script, code.replace("from 'asherah'", `from ${JSON.stringify(library)}`))
  const file = join(folder, 'record.json')
  writeFileSync(file, record)
  return runTool(process.execPath, [script, file], {
    env: {
      PATH: process.env['PATH'],
      SERVICE_NAME: serviceName,
      PRODUCT_ID: productId,
      KMS: 'static',
      STATIC_MASTER_KEY_HEX: masterKeyHex,
      ...env,
    },
  })
}

const databases = {
  PostgreSQL: async () => {
    const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB' })
    const { host, port, limited } = postgres
    const metastore: PeerMetastore = { kind: 'postgres', host, port, database: database.name, ...limited }
    const age = "UPDATE encryption_key SET created = created + interval '1 hour'"
    return { database, metastore, age, env: { POSTGRES_URL: database.url() } }
  },
  'MySQL, MariaDB': async () => {
    const database = await createMariaDbDatabase(mariadb)
    const { host, port, limited } = mariadb
    const metastore: PeerMetastore = { kind: 'mysql', host, port, database: database.name, ...limited }
    const age = 'UPDATE encryption_key SET created = created + INTERVAL 1 HOUR'
    return { database, metastore, age, env: { MYSQL_URL: database.url() } }
  },
}

describe('the guide for migrating', { timeout: 120_000 }, () => {
  for (const [dialect, open] of Object.entries(databases)) {
    for (const kind of ['java', 'rust'] as const) {
      test(`checks a metastore of ${kind} in ${dialect}`, async (context) => {
        const { database, metastore, age, env } = await open()
        context.after(database.drop)
        const peer = await peers[kind].configure({
          service: serviceName,
          product: productId,
          metastore,
          kms: { kind: 'static', key: 'thisIsAStaticMasterKeyForTesting' },
        })
        const theirs = await peer.encrypt(partition, Buffer.from('from before'))
        assert.equal(await database.query(statement(dialect)), '')

        const [read, same, ours = ''] = (await check(theirs, env)).split('\n')
        assert.deepEqual([read, same], ['read: from before', 'the same key'])
        assert.equal((await peer.decrypt(partition, ours)).toString(), 'written here')
        await peer.close()

        // As a process in another time zone would have written them.
        await database.query(age)
        assert.match(await database.query(statement(dialect)), /_IK_migration-check_api_catalog/)
        await assert.rejects(check(theirs, env), /ERR_KEY_NOT_FOUND/)
      })
    }
  }
})
