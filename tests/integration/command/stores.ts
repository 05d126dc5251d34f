import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import { createDynamoDbTable } from '../../support/servers/dynamodb.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'

/** A metastore as an operator's account reaches it. */
export interface OperatorStore {
  readonly config: Pick<AsherahConfig, 'metastore'> & Partial<AsherahConfig>
  drop(): Promise<void>
}

export async function postgresStore(): Promise<OperatorStore> {
  const { postgres } = testServers()
  const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', created: 'TIMESTAMPTZ' })
  await database.query(`GRANT UPDATE, DELETE ON encryption_key TO ${postgres.limited.user}`)
  return { config: { metastore: 'rdbms', connectionString: database.url() }, drop: database.drop }
}

export async function mariaDbStore(): Promise<OperatorStore> {
  const { mariadb } = testServers()
  const database = await createMariaDbDatabase(mariadb, { created: 'DATETIME' })
  await database.query(`GRANT UPDATE, DELETE ON encryption_key TO ${mariadb.limited.user}@'%'`)
  return { config: { metastore: 'rdbms', connectionString: database.url() }, drop: database.drop }
}

export async function dynamoDbStore(): Promise<OperatorStore> {
  const table = await createDynamoDbTable(testServers().dynamodb.endpoint)
  const { endpoint: dynamoDbEndpoint, region: dynamoDbRegion, name: dynamoDbTableName } = table
  return {
    config: { metastore: 'dynamodb', dynamoDbEndpoint, dynamoDbRegion, dynamoDbTableName },
    drop: async () => {
      await table.drop()
    },
  }
}

export const operatorStores = { PostgreSQL: postgresStore, MariaDB: mariaDbStore, DynamoDB: dynamoDbStore }
