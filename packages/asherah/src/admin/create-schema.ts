import { isNamed } from '../aws/aws-client.ts'
import type { Config } from '../config/config.ts'
import { AsherahError } from '../errors.ts'
import { createTable, type SqlDialect } from '../metastore/create-table.ts'
import { createTableCommand, type DynamoDbMetastore } from '../metastore/dynamodb.ts'
import { internals } from '../metastore/internals.ts'
import type { Metastore } from '../metastore/metastore.ts'
import type { MysqlMetastore } from '../metastore/mysql/mysql.ts'
import type { PostgresMetastore } from '../metastore/postgres/postgres.ts'
import type { RunOnConnection } from './sql-admin.ts'

/** The table of a metastore: what makes it, and whether it is there. */
export interface MetastoreSchema {
  /** A statement of SQL, or a command of a shell; undefined where nothing has to be made. */
  readonly statement: string | undefined
  exists(): Promise<boolean>
  /** Makes it. The account needs the right to. */
  create(): Promise<void>
}

/**
 * The table of a metastore that is open.
 *
 * @example
 * ```ts
 * const schema = await metastoreSchema(config, metastore)
 * if (!(await schema.exists())) await schema.create()
 * ```
 */
export async function metastoreSchema(config: Config, metastore: Metastore): Promise<MetastoreSchema> {
  const store = config.metastore
  if (store.kind === 'dynamodb') return dynamoDbSchema(metastore as DynamoDbMetastore, store.tableName)
  if (store.kind !== 'rdbms') {
    // SQLite's table is made when the file is opened.
    const statement = store.kind === 'sqlite' ? createTable('sqlite') : undefined
    return { statement, exists: async () => true, create: async () => undefined }
  }
  if (store.dialect === 'postgres') {
    const postgres = metastore as PostgresMetastore
    return sqlSchema((action, work) => postgres[internals](action, work), 'postgres')
  }
  const mysql = metastore as MysqlMetastore
  const run: RunOnConnection = (action, work) => mysql[internals](action, work)
  const [[version]] = (await run('read', (connection) => connection.query('SELECT VERSION()')))
    .rows as readonly [readonly [unknown]]
  return sqlSchema(run, /mariadb/i.test(String(version)) ? 'mariadb' : 'mysql')
}

function sqlSchema(run: RunOnConnection, dialect: SqlDialect): MetastoreSchema {
  const statement = createTable(dialect)
  return {
    statement,
    exists: async () => {
      try {
        await run('read', (connection) => connection.query('SELECT id FROM encryption_key WHERE 1 = 0'))
        return true
      } catch (error) {
        const { cause } = error as { readonly cause?: { readonly code?: unknown; readonly errno?: unknown } }
        if (cause?.code === '42P01' || cause?.errno === 1146) return false
        throw error
      }
    },
    create: async () => {
      await run('written', (connection) => connection.query(statement))
    },
  }
}

/** How long DynamoDB may take to make a table. */
const creationMs = 120_000

function dynamoDbSchema(store: DynamoDbMetastore, tableName: string): MetastoreSchema {
  const status = async (): Promise<string | undefined> => {
    try {
      const { Table } = (await store[internals]('DescribeTableCommand', {})) as {
        readonly Table?: { readonly TableStatus?: string }
      }
      return Table?.TableStatus
    } catch (error) {
      if (isNamed((error as { readonly cause?: unknown }).cause, 'ResourceNotFoundException'))
        return undefined
      throw error
    }
  }
  return {
    statement: createTableCommand(tableName),
    exists: async () => (await status()) !== undefined,
    create: async () => {
      await store[internals]('CreateTableCommand', {
        AttributeDefinitions: [
          { AttributeName: 'Id', AttributeType: 'S' },
          { AttributeName: 'Created', AttributeType: 'N' },
        ],
        KeySchema: [
          { AttributeName: 'Id', KeyType: 'HASH' },
          { AttributeName: 'Created', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
      })
      const end = performance.now() + creationMs
      while ((await status()) !== 'ACTIVE') {
        if (performance.now() > end) {
          throw new AsherahError(
            'ERR_TIMEOUT',
            `The table '${tableName}' was not ACTIVE within ${creationMs} ms.`,
          )
        }
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
    },
  }
}
