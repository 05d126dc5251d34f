import type { AsherahConfig } from '../../../packages/asherah/src/index.ts'
import { createDynamoDbTable, type DynamoDbTable } from '../../support/servers/dynamodb.ts'
import { createMariaDbDatabase, type MariaDbDatabaseOptions } from '../../support/servers/mariadb-database.ts'
import type { PeerMetastore } from '../../support/servers/peer.ts'
import { literal } from '../../support/servers/postgres.ts'
import {
  createPostgresDatabase,
  type PostgresDatabaseOptions,
} from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'

/** A key's row, whoever wrote it. */
export interface KeyRow {
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  readonly record: KeyRecord
}

/** The JSON of contract section 2.3. */
export interface KeyRecord {
  readonly Created: number
  readonly Key: string
  readonly ParentKeyMeta?: { readonly KeyId: string; readonly Created: number }
  readonly Revoked?: boolean
}

/** One metastore as every implementation is told of it, and as an operator sees it. */
export interface SharedStore {
  readonly peer: PeerMetastore
  readonly ours: Pick<AsherahConfig, 'metastore'> & Partial<AsherahConfig>
  /** Every key; the row that guards the Rust peer's configuration is none (contract section 3.9). */
  rows(): Promise<readonly KeyRow[]>
  /** How many guard rows there are. */
  guards(): Promise<number>
  /** Marks one generation as revoked, as an operator's script does (contract section 3.8). */
  revoke(id: string, created: number): Promise<void>
  drop(): Promise<void>
}

/** The region of the table. */
export const region = 'us-west-2'

const guardPrefix = '__asherah_internal_config_drift_guard_v1__:'

export async function postgresStore(options: PostgresDatabaseOptions = {}): Promise<SharedStore> {
  const { postgres } = testServers()
  const database = await createPostgresDatabase(postgres, { keyRecord: 'JSONB', ...options })
  const { host, port, limited } = postgres
  const all = async () =>
    parseRows(
      await database.query(
        `SELECT concat_ws(E'\\t', id, extract(epoch FROM created)::bigint, key_record::text) FROM encryption_key`,
      ),
    )
  return {
    peer: { kind: 'postgres', host, port, database: database.name, ...limited },
    ours: { metastore: 'rdbms', connectionString: database.url() },
    rows: async () => (await all()).filter(isKey),
    guards: async () => (await all()).filter((row) => !isKey(row)).length,
    revoke: async (id, created) => {
      await database.query(
        `UPDATE encryption_key SET key_record = jsonb_set(key_record::jsonb, '{Revoked}', 'true')
         WHERE id = ${literal(id)} AND extract(epoch FROM created) = ${created}`,
      )
    },
    drop: database.drop,
  }
}

export async function mariaDbStore(options: MariaDbDatabaseOptions = {}): Promise<SharedStore> {
  const { mariadb } = testServers()
  const database = await createMariaDbDatabase(mariadb, options)
  const { host, port, limited } = mariadb
  // The stored wall clock is UTC whatever the server's time zone is (contract section 4.4).
  const seconds = "TIMESTAMPDIFF(SECOND, '1970-01-01 00:00:00', created)"
  const all = async () =>
    parseRows(await database.query(`SELECT id, ${seconds}, key_record FROM encryption_key`))
  return {
    peer: { kind: 'mysql', host, port, database: database.name, ...limited },
    ours: { metastore: 'rdbms', connectionString: database.url() },
    rows: async () => (await all()).filter(isKey),
    guards: async () => (await all()).filter((row) => !isKey(row)).length,
    revoke: async (id, created) => {
      await database.query(
        `UPDATE encryption_key SET key_record = JSON_MERGE_PATCH(key_record, '{"Revoked":true}')
         WHERE id = '${id}' AND ${seconds} = ${created}`,
      )
    },
    drop: database.drop,
  }
}

export async function dynamoDbStore(regionSuffix = false): Promise<SharedStore> {
  const table = await createDynamoDbTable(testServers().dynamodb.endpoint, { region })
  const { endpoint, name } = table
  const all = async () => (await itemsOf(table)).map(rowOf)
  return {
    peer: { kind: 'dynamodb', endpoint, region, table: name, regionSuffix },
    ours: {
      metastore: 'dynamodb',
      dynamoDbEndpoint: endpoint,
      dynamoDbRegion: region,
      dynamoDbTableName: name,
      enableRegionSuffix: regionSuffix,
    },
    rows: async () => (await all()).filter(isKey),
    guards: async () => (await all()).filter((row) => !isKey(row)).length,
    revoke: async (id, created) => {
      const item = (await itemsOf(table)).find(
        ({ Id, Created }) => Id.S === id && Number(Created.N) === created,
      )
      if (item === undefined) throw new Error(`there is no ${id} created ${created}`)
      const { Id, Created, KeyRecord } = item
      await table.put({ Id, Created, KeyRecord: { M: { ...KeyRecord.M, Revoked: { BOOL: true } } } })
    },
    drop: table.drop,
  }
}

/** Those that the peers share with us, and DynamoDB's region suffix. */
export const stores = {
  'PostgreSQL, JSONB': () => postgresStore(),
  MariaDB: () => mariaDbStore(),
  DynamoDB: () => dynamoDbStore(),
  'DynamoDB, region suffix': () => dynamoDbStore(true),
}

function isKey({ id }: KeyRow): boolean {
  return !id.startsWith(guardPrefix)
}

function parseRows(lines: string): KeyRow[] {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [id = '', created = '', record = ''] = line.split('\t')
      return { id, created: Number(created), record: JSON.parse(record) as KeyRecord }
    })
}

/** An item as DynamoDB writes it, as far as it is used here. */
interface Item {
  readonly Id: { readonly S: string }
  readonly Created: { readonly N: string }
  readonly KeyRecord: { readonly M: Readonly<Record<string, Attribute>> }
}

type Attribute =
  | { readonly S: string }
  | { readonly N: string }
  | { readonly BOOL: boolean }
  | { readonly M: Readonly<Record<string, Attribute>> }

async function itemsOf(table: DynamoDbTable): Promise<readonly Item[]> {
  return (await table.items()) as unknown as readonly Item[]
}

function rowOf({ Id, Created, KeyRecord }: Item): KeyRow {
  return { id: Id.S, created: Number(Created.N), record: plainMap(KeyRecord.M) as unknown as KeyRecord }
}

function plainMap(map: Readonly<Record<string, Attribute>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, plain(value)]))
}

function plain(value: Attribute): unknown {
  if ('S' in value) return value.S
  if ('N' in value) return Number(value.N)
  return 'BOOL' in value ? value.BOOL : plainMap(value.M)
}
