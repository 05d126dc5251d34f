import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createTable } from '../../../packages/asherah/src/metastore/create-table.ts'
import { createDynamoDbTable } from '../../support/servers/dynamodb.ts'
import { freePort } from '../../support/servers/free-port.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createKmsKeys } from '../../support/servers/moto.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { CommandFolder, jsonLines } from './command-process.ts'
import { type Planted, testPlanted } from './planted-fault.ts'

/** Faults as they happen, each planted in a real server, file or limit; and what the doctor says of it. */

const servers = testServers()
const identity = { serviceName: 'api', productId: 'catalog' }
const staticKms = { kms: 'static', staticMasterKeyHex: '5c'.repeat(32) }
const west = 'us-west-2'
const east = 'us-east-1'

async function postgres(
  options: Parameters<typeof createPostgresDatabase>[1],
  sql: string,
  finds: Planted['finds'],
): Promise<Planted> {
  const database = await createPostgresDatabase(servers.postgres, options)
  if (sql !== '') await database.query(sql)
  const config = { ...identity, ...staticKms, metastore: 'rdbms', connectionString: database.url() }
  return { config, finds, end: database.drop }
}

async function mariaDb(
  options: Parameters<typeof createMariaDbDatabase>[1],
  sql: string,
  finds: Planted['finds'],
): Promise<Planted> {
  const database = await createMariaDbDatabase(servers.mariadb, options)
  if (sql !== '') await database.query(sql)
  const config = { ...identity, ...staticKms, metastore: 'rdbms', connectionString: database.url() }
  return { config, finds, end: database.drop }
}

const { limited } = servers.postgres
const sqlite = { ...identity, ...staticKms, metastore: 'sqlite', connectionString: 'keys.db' }

const planted: Readonly<Record<string, () => Promise<Planted> | Planted>> = {
  'a misspelt key': () => ({
    config: { ...sqlite, chekInterval: 60 },
    finds: [
      'fault',
      'configuration',
      /^chekInterval is not a known key; the nearest one is checkInterval/,
      /asherah configuration/,
    ],
  }),
  'no table, Postgres': () =>
    postgres({ keyRecord: 'none' }, '', [
      'fault',
      'metastore: schema',
      /no table encryption_key/,
      /CREATE TABLE encryption_key/,
    ]),
  'a time without zone in a session of another, Postgres': () =>
    postgres({ timeZone: 'America/New_York' }, '', [
      'fault',
      'metastore: time zone',
      /has no time zone, and the session's is America\/New_York/,
      /ALTER COLUMN created TYPE TIMESTAMPTZ/,
    ]),
  'no right to insert, Postgres': () =>
    postgres({}, `REVOKE INSERT ON encryption_key FROM ${limited.user}`, [
      'fault',
      'metastore: permissions',
      /may not INSERT/,
      /GRANT INSERT ON encryption_key/,
    ]),
  'no primary key, Postgres': () =>
    postgres({}, 'ALTER TABLE encryption_key DROP CONSTRAINT encryption_key_pkey', [
      'fault',
      'metastore: schema',
      /two keys have the same id and time/,
      /ADD PRIMARY KEY \(id, created\)/,
    ]),
  'a damaged row, Postgres': () =>
    postgres({}, `INSERT INTO encryption_key VALUES ('_SK_api_catalog', '2026-01-01', '{}')`, [
      'fault',
      'keys: rows',
      /1 rows cannot be understood, .* "_SK_api_catalog"/,
      /Restore them from a backup/,
    ]),
  'a collation that takes ids for each other, MariaDB': () =>
    mariaDb({ collation: 'utf8mb4_general_ci' }, '', [
      'fault',
      'metastore: collation',
      /utf8mb4_general_ci of the column id/,
      /COLLATE utf8mb4_nopad_bin/,
    ]),
  'no right to read, MariaDB': () =>
    mariaDb({}, `REVOKE SELECT ON encryption_key FROM ${servers.mariadb.limited.user}@'%'`, [
      'fault',
      'metastore: permissions',
      /may not SELECT/,
      /GRANT SELECT/,
    ]),
  'a time that ends in 2038, MariaDB': () =>
    mariaDb({ created: 'TIMESTAMP' }, '', [
      'warning',
      'metastore: time zone',
      /TIMESTAMP, which ends/,
      /DATETIME/,
    ]),
  'a metastore that is not there': async () => ({
    config: {
      ...identity,
      ...staticKms,
      metastore: 'rdbms',
      connectionString: `postgres://app:hidden@127.0.0.1:${await freePort()}/keys`,
    },
    finds: [
      'fault',
      'metastore: reach',
      /the connection failed\. Check that the server runs/,
      /ERR_METASTORE/,
    ],
  }),
  'no table, DynamoDB': () => ({
    config: {
      ...identity,
      ...staticKms,
      metastore: 'dynamodb',
      dynamoDbEndpoint: servers.dynamodb.endpoint,
      dynamoDbRegion: west,
      dynamoDbTableName: 'NotThere',
    },
    finds: [
      'fault',
      'metastore: schema',
      /has no such table/,
      /aws dynamodb create-table --table-name NotThere/,
    ],
  }),
  'a lock limit that is too low': () => ({
    config: { ...sqlite, requireLockedMemory: true },
    // Root may lock without a limit unless that right is taken from it.
    preparation: 'ulimit -l 0; if [ "$(id -u)" = 0 ]; then set -- setpriv --bounding-set=-ipc_lock "$@"; fi',
    finds: ['fault', 'locked memory', /cannot be locked/, /ulimit -l/],
  }),
}

describe('doctor', { timeout: 240_000 }, () => {
  testPlanted(planted)

  test('finds nothing where all is right', async () => {
    const database = await createPostgresDatabase(servers.postgres, { keyRecord: 'none' })
    await database.query(
      `${createTable('postgres')}; GRANT SELECT, INSERT ON encryption_key TO ${limited.user}`,
    )
    const table = await createDynamoDbTable(servers.dynamodb.endpoint, { region: west })
    const folder = new CommandFolder()
    const regionMap = await createKmsKeys(servers.moto.endpoint, [west, east])
    const kms = { kms: 'aws', regionMap, preferredRegion: east }
    const stores = [
      { metastore: 'rdbms', connectionString: database.url() },
      {
        metastore: 'dynamodb',
        dynamoDbEndpoint: table.endpoint,
        dynamoDbRegion: west,
        dynamoDbTableName: table.name,
      },
    ]
    for (const store of stores) {
      folder.write('asherah.json', { ...identity, ...kms, ...store })
      const { code, stdout } = await folder.run('doctor', '--json')
      const findings = jsonLines(stdout).filter(({ check }) => check !== 'locked memory')
      assert.deepEqual(
        findings.filter(({ level }) => level !== 'ok'),
        [],
      )
      assert.equal(code, 0)
      assert.ok(
        findings.some(({ check }) => check === `KMS: ${west}`) &&
          findings.some(({ check }) => check === `KMS: ${east}`),
      )
    }
    folder.remove()
    await Promise.all([database.drop(), table.drop()])
  })
})
