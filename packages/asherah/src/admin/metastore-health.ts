import { statSync } from 'node:fs'
import { isNamed } from '../aws/aws-client.ts'
import type { Config } from '../config/config.ts'
import { AsherahError } from '../errors.ts'
import { createTableCommand, type DynamoDbMetastore } from '../metastore/dynamodb.ts'
import { internals } from '../metastore/internals.ts'
import type { Metastore } from '../metastore/metastore.ts'
import type { MysqlMetastore } from '../metastore/mysql/mysql.ts'
import type { PostgresMetastore } from '../metastore/postgres/postgres.ts'
import type { SqliteMetastore } from '../metastore/sqlite.ts'
import { type Finding, fault, type HealthCheck, ok, warning } from './health.ts'
import { mysqlChecks, postgresChecks } from './sql-health.ts'

/** What is to be known of a metastore before it is relied on. Nothing is written. */
export function metastoreChecks(config: Config['metastore'], metastore: Metastore): readonly HealthCheck[] {
  switch (config.kind) {
    case 'rdbms': {
      if (config.dialect === 'postgres') {
        const store = metastore as PostgresMetastore
        return postgresChecks((action, work) => store[internals](action, work))
      }
      const store = metastore as MysqlMetastore
      return mysqlChecks((action, work) => store[internals](action, work))
    }
    case 'dynamodb':
      return dynamoDbChecks(metastore as DynamoDbMetastore, config.tableName)
    case 'sqlite':
      return sqliteChecks(metastore as SqliteMetastore, config.path)
    case 'memory':
      return [{ name: 'metastore: reach', run: async () => [forgets] }]
    default:
      return [{ name: 'metastore: reach', run: () => reach(metastore) }]
  }
}

const forgets = warning(
  'The memory metastore forgets every key when its process ends.',
  'Use sqlite, rdbms or dynamodb for data that outlives a process.',
)

async function reach(metastore: Metastore): Promise<readonly Finding[]> {
  await metastore.loadLatest('_SK_asherah-doctor')
  return [ok('The metastore answers.')]
}

function sqliteChecks(store: SqliteMetastore, path: string): readonly HealthCheck[] {
  return [
    {
      name: 'metastore: reach',
      run: async () => {
        const [answer] = await store[internals]('read', (database) =>
          Object.values(database.prepare('PRAGMA quick_check(1)').get() as object),
        )
        if (answer === 'ok') return [ok('The file is there and whole.')]
        return [fault('The file is damaged.', 'Restore it from a backup.')]
      },
    },
    {
      name: 'metastore: permissions',
      run: async () => {
        await store[internals]('written', (database) =>
          database.prepare('DELETE FROM encryption_key WHERE 1 = 0').run(),
        )
        if (path === ':memory:') return [forgets]
        if ((statSync(path).mode & 0o077) === 0) return [ok('This user alone may read and write the file.')]
        return [warning('Other users of this host may open the file.', `chmod 600 ${path}`)]
      },
    },
  ]
}

interface Description {
  readonly Table?: {
    readonly TableStatus?: string
    readonly KeySchema?: readonly { readonly AttributeName?: string; readonly KeyType?: string }[]
    readonly AttributeDefinitions?: readonly {
      readonly AttributeName?: string
      readonly AttributeType?: string
    }[]
  }
}

function dynamoDbChecks(store: DynamoDbMetastore, tableName: string): readonly HealthCheck[] {
  return [
    { name: 'metastore: reach', run: () => dynamoDbReach(store) },
    { name: 'metastore: schema', run: () => dynamoDbSchema(store, tableName) },
    { name: 'metastore: permissions', run: () => dynamoDbPermissions(store) },
  ]
}

/** It answers when it refuses, too: what it refuses, the other checks say. */
async function dynamoDbReach(store: DynamoDbMetastore): Promise<readonly Finding[]> {
  try {
    return await reach(store)
  } catch (error) {
    const { cause } = error as Error
    if (!isDenied(error) && !isNamed(cause, 'ResourceNotFoundException')) throw error
    return [ok('The metastore answers.')]
  }
}

async function dynamoDbSchema(store: DynamoDbMetastore, tableName: string): Promise<readonly Finding[]> {
  let description: Description
  try {
    description = await store[internals]('DescribeTableCommand', {})
  } catch (error) {
    if (!isDenied(error)) throw error
    return [ok('The account may not describe the table, so its keys were not looked at.')]
  }
  const {
    TableStatus: status,
    KeySchema: keys = [],
    AttributeDefinitions: attributes = [],
  } = description.Table ?? {}
  const keyOf = (kind: string) => {
    const name = keys.find(({ KeyType }) => KeyType === kind)?.AttributeName
    return `${name} ${attributes.find(({ AttributeName }) => AttributeName === name)?.AttributeType}`
  }
  if (keyOf('HASH') !== 'Id S' || keyOf('RANGE') !== 'Created N') {
    const message = 'The table has not the partition key Id (S) and the sort key Created (N).'
    return [fault(message, `Make another one:\n${createTableCommand(tableName)}`)]
  }
  if (status === 'ACTIVE') return [ok('The table is as it must be.')]
  return [warning(`The table is ${status}.`, 'Wait until it is ACTIVE.')]
}

/** Each action once, the write with a condition that no item can meet. */
async function dynamoDbPermissions(store: DynamoDbMetastore): Promise<readonly Finding[]> {
  const Id = { S: '_SK_asherah-doctor' }
  const Created = { N: '0' }
  const actions: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['dynamodb:GetItem', async () => store.load(Id.S, 0)],
    ['dynamodb:Query', async () => store.loadLatest(Id.S)],
    [
      'dynamodb:PutItem',
      () =>
        store[internals]('PutItemCommand', {
          Item: { Id, Created },
          ConditionExpression: 'attribute_exists(Id) AND attribute_not_exists(Id)',
        }),
    ],
  ]
  const denied: string[] = []
  for (const [action, call] of actions) {
    try {
      await call()
    } catch (error) {
      if (isNamed(error, 'ConditionalCheckFailedException')) continue
      if (!isDenied(error)) throw error
      denied.push(action)
    }
  }
  if (denied.length === 0) return [ok('The account may GetItem, Query and PutItem.')]
  const list = denied.join(' and ')
  return [fault(`The account may not ${list}.`, `Allow ${list} on the table in the policy of its role.`)]
}

function isDenied(error: unknown): boolean {
  return error instanceof AsherahError && isNamed(error.cause, 'AccessDeniedException')
}
