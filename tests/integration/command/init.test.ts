import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createDynamoDbTable } from '../../support/servers/dynamodb.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { CommandFolder, jsonLines } from './command-process.ts'
import { startFront, withoutRight } from './planted-fault.ts'

/** `init`: what it prints is what it runs, it runs it once, and without the right to it says what to do. */

const servers = testServers()
const identity = {
  serviceName: 'api',
  productId: 'catalog',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
}

interface Place {
  readonly config: object
  readonly statement: RegExp
  /** The account may make the table from now on. */
  permit(): Promise<void>
  /** Undefined where there is no account. */
  readonly refused: RegExp | undefined
  drop(): Promise<void> | void
}

const places: Readonly<Record<string, () => Promise<Place>>> = {
  PostgreSQL: async () => {
    const { postgres } = servers
    const database = await createPostgresDatabase(postgres, { keyRecord: 'none' })
    return {
      config: { metastore: 'rdbms', connectionString: database.url() },
      statement: /^CREATE TABLE encryption_key \(.*TIMESTAMPTZ/s,
      permit: async () =>
        void (await database.query(`GRANT CREATE ON SCHEMA public TO ${postgres.limited.user}`)),
      refused: /permission|42501/i,
      drop: () => database.drop(),
    }
  },
  MariaDB: async () => {
    const { mariadb } = servers
    const database = await createMariaDbDatabase(mariadb, { keyRecord: 'none' })
    const { user } = mariadb.limited
    await database.query(`GRANT SELECT, INSERT ON ${database.name}.* TO ${user}@'%'`)
    return {
      config: { metastore: 'rdbms', connectionString: database.url() },
      statement: /^CREATE TABLE encryption_key \(.*utf8mb4_nopad_bin/s,
      permit: async () => void (await database.query(`GRANT CREATE ON ${database.name}.* TO ${user}@'%'`)),
      refused: /denied|1142/i,
      drop: () => database.drop(),
    }
  },
  DynamoDB: async () => {
    const { endpoint } = servers.dynamodb
    // Only for a name that no other table has.
    const { name, region, drop } = await createDynamoDbTable(endpoint)
    await drop()
    let permitted = false
    const refuse = withoutRight('DynamoDB_20120810.CreateTable')
    const front = await startFront(endpoint, 0, (...exchange) => !permitted && refuse(...exchange))
    return {
      config: {
        metastore: 'dynamodb',
        dynamoDbEndpoint: front.address,
        dynamoDbRegion: region,
        dynamoDbTableName: name,
      },
      statement: /^aws dynamodb create-table --table-name /,
      permit: async () => {
        permitted = true
      },
      refused: /AccessDeniedException/,
      drop: async () => {
        front.close()
        await drop()
      },
    }
  },
  SQLite: async () => ({
    config: { metastore: 'sqlite', connectionString: 'keys.db' },
    statement: /^CREATE TABLE encryption_key \(/,
    permit: async () => undefined,
    refused: undefined,
    drop: () => undefined,
  }),
}

describe('init', { timeout: 120_000 }, () => {
  for (const [name, open] of Object.entries(places)) {
    test(name, async (context) => {
      const { config, statement, permit, refused, drop } = await open()
      const folder = new CommandFolder()
      context.after(async () => {
        folder.remove()
        await drop()
      })
      folder.write('asherah.json', { ...identity, ...config })
      const log = join(folder.path, 'asherah-actions.log')

      const [printed] = await folder.json('init')
      assert.equal(printed?.['dryRun'], true)
      assert.match(String(printed?.['statement']), statement)
      assert.ok(!existsSync(log) && !existsSync(join(folder.path, 'keys.db')), 'a dry run leaves nothing')

      if (refused !== undefined) {
        const { code, stderr } = await folder.run('init', '--yes', '--json')
        assert.equal(code, 1)
        const { error } = JSON.parse(stderr) as { readonly error: Readonly<Record<string, string>> }
        assert.equal(error['code'], 'ERR_METASTORE')
        assert.match(String(error['message']), refused)
        assert.match(String(error['hint']), /an account that may make tables.*asherah init$/)
        assert.deepEqual(events(folder), ['intends', 'failed'])
      }
      await permit()
      const before = refused === undefined ? 0 : 2
      assert.equal((await folder.json('init', '--yes'))[0]?.['created'], true)
      assert.equal((await folder.json('init', '--yes'))[0]?.['created'], false)
      assert.deepEqual(events(folder).slice(before), ['intends', 'did'])

      // It is a table that keys can be kept in, and that the doctor finds nothing wrong with.
      const sealed = await folder.run('encrypt', '--partition', 'alice', '--in', 'asherah.json')
      assert.equal(sealed.code, 0, sealed.stderr)
      const { code, stdout } = await folder.run('doctor', '--json')
      assert.equal(code, 0, stdout)
      assert.deepEqual(
        jsonLines(stdout).filter(({ level, check }) => level !== 'ok' && check !== 'locked memory'),
        [],
      )
    })
  }
})

function events(folder: CommandFolder): readonly unknown[] {
  return folder.log().map(({ event }) => event)
}
