import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createDynamoDbTable } from '../../../../tests/support/servers/dynamodb.ts'
import {
  createMariaDbDatabase,
  type MariaDbDatabaseOptions,
} from '../../../../tests/support/servers/mariadb-database.ts'
import {
  createPostgresDatabase,
  type PostgresDatabaseOptions,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { metastoreAdminOf } from '../../src/admin/open-admin.ts'
import { DynamoDbMetastore } from '../../src/metastore/dynamodb.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { adminContract } from '../admin/contract.ts'

const servers = testServers()

before(() => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
})

after(() => {
  delete process.env['AWS_ACCESS_KEY_ID']
  delete process.env['AWS_SECRET_ACCESS_KEY']
})

function utc(created: number): string {
  return new Date(created * 1000).toISOString().slice(0, 19).replace('T', ' ')
}

const postgresTables: Readonly<Record<string, PostgresDatabaseOptions>> = {
  'postgres, JSONB and TIMESTAMPTZ': { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' },
  'postgres, TEXT and TIMESTAMP of another time zone': { keyRecord: 'TEXT', timeZone: 'America/New_York' },
  'postgres, JSON': { keyRecord: 'JSON', created: 'TIMESTAMPTZ(6)', timeZone: 'Asia/Kolkata' },
}

for (const [name, options] of Object.entries(postgresTables)) {
  adminContract(name, async () => {
    const database = await createPostgresDatabase(servers.postgres, options)
    await database.query(`GRANT UPDATE, DELETE ON encryption_key TO ${servers.postgres.limited.user}`)
    return {
      store: await PostgresMetastore.connect(database.url()),
      damage: async (keyId, created) => {
        await database.query(
          `INSERT INTO encryption_key VALUES ('${keyId}', '${utc(created)}${options.created === undefined ? '' : '+00'}', '{"Created":1}')`,
        )
      },
      end: database.drop,
    }
  })
}

const mysqlTables: Readonly<Record<string, MariaDbDatabaseOptions>> = {
  'mysql, TEXT and TIMESTAMP': {},
  'mysql, JSON and DATETIME': { keyRecord: 'JSON', created: 'DATETIME' },
}

for (const [name, options] of Object.entries(mysqlTables)) {
  adminContract(name, async () => {
    const database = await createMariaDbDatabase(servers.mariadb, options)
    await database.query(`GRANT UPDATE, DELETE ON encryption_key TO ${servers.mariadb.limited.user}@'%'`)
    return {
      store: await MysqlMetastore.connect(database.url()),
      damage: async (keyId, created) => {
        await database.query(
          `INSERT INTO encryption_key VALUES ('${keyId}', '${utc(created)}', '{"Created":1}')`,
        )
      },
      end: database.drop,
    }
  })
}

adminContract('dynamodb', async () => {
  const table = await createDynamoDbTable(servers.dynamodb.endpoint)
  const { name: tableName, region, endpoint } = table
  return {
    store: await DynamoDbMetastore.open({ tableName, region, endpoint }),
    damage: (keyId, created) =>
      table.put({ Id: { S: keyId }, Created: { N: String(created) }, KeyRecord: { M: {} } }),
    end: () => table.drop(),
  }
})

describe('the admin interface', () => {
  test('keeps the other attributes of an item of DynamoDB', async () => {
    const table = await createDynamoDbTable(servers.dynamodb.endpoint)
    const { name: tableName, region, endpoint } = table
    const KeyRecord = { M: { Created: { N: '60' }, Key: { S: 'AQ==' }, Revoked: { BOOL: false } } }
    await table.put({ Id: { S: '_SK_a' }, Created: { N: '60' }, KeyRecord, Owner: { S: 'another program' } })
    const admin = await metastoreAdminOf(await DynamoDbMetastore.open({ tableName, region, endpoint }))
    assert.equal(await admin.markRevoked('_SK_a', 60), 'revoked')
    const [item] = (await table.items()) as unknown as readonly [Record<string, unknown>]
    assert.deepEqual(item['Owner'], { S: 'another program' })
    assert.deepEqual(item['KeyRecord'], {
      M: { Created: { N: '60' }, Key: { S: 'AQ==' }, Revoked: { BOOL: true } },
    })
    await admin.close()
    await table.drop()
  })

  test("says which right an application's account lacks", async () => {
    const postgres = await createPostgresDatabase(servers.postgres)
    const mariadb = await createMariaDbDatabase(servers.mariadb)
    const stores = [
      await PostgresMetastore.connect(postgres.url()),
      await MysqlMetastore.connect(mariadb.url()),
    ]
    for (const store of stores) {
      await store.store('_SK_a', 60, { created: 60, encryptedKey: Uint8Array.of(1) })
      const admin = await metastoreAdminOf(store)
      const lacks = (right: string) => ({
        code: 'ERR_METASTORE',
        message: new RegExp(`needs ${right} on the table`),
      })
      await assert.rejects(admin.markRevoked('_SK_a', 60), lacks('UPDATE'))
      await assert.rejects(admin.remove('_SK_a', 60), lacks('DELETE'))
      await admin.close()
    }
    await Promise.all([postgres.drop(), mariadb.drop()])
  })

  test('does not take one id for another where the collation does', async () => {
    const database = await createMariaDbDatabase(servers.mariadb, { collation: 'utf8mb4_general_ci' })
    await database.query(`GRANT UPDATE, DELETE ON encryption_key TO ${servers.mariadb.limited.user}@'%'`)
    const store = await MysqlMetastore.connect(database.url())
    await store.store('_SK_a', 60, { created: 60, encryptedKey: Uint8Array.of(1) })
    const admin = await metastoreAdminOf(store)
    assert.equal(await admin.get('_sk_A', 60), undefined)
    assert.equal(await admin.remove('_sk_A', 60), false)
    assert.equal((await admin.list({ keyId: '_sk_A' })).rows.length, 0)
    assert.equal((await admin.list({ prefix: '_sk' })).rows.length, 0)
    assert.equal(await admin.remove('_SK_a', 60), true)
    await admin.close()
    await database.drop()
  })
})
