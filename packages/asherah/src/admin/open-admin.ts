import type { Config, ResolvedConfig } from '../config/config.ts'
import { AsherahError } from '../errors.ts'
import { internals } from '../metastore/internals.ts'
import { MemoryMetastore } from '../metastore/memory.ts'
import type { Metastore } from '../metastore/metastore.ts'
import { openMetastore } from '../metastore/open-metastore.ts'
import { SqliteMetastore } from '../metastore/sqlite.ts'
import { DynamoDbRows } from './dynamodb-admin.ts'
import type { RowStore } from './key-row.ts'
import { MemoryRows } from './memory-admin.ts'
import { MetastoreAdmin } from './metastore-admin.ts'
import { MysqlRows } from './mysql-admin.ts'
import { PostgresRows } from './postgres-admin.ts'
import { SqliteRows } from './sqlite-admin.ts'

/** A metastore and what an operator does with its rows. */
export interface OpenedMetastore {
  readonly metastore: Metastore
  readonly admin: MetastoreAdmin
}

/**
 * Opens the metastore that a configuration names, for an operator. Closing the admin closes it.
 *
 * @throws AsherahError `ERR_NOT_BUILT_IN` for a metastore of the user's own, `ERR_DRIVER_MISSING`, `ERR_METASTORE`,
 * `ERR_CONFIG_INVALID`.
 *
 * @example
 * ```ts
 * const admin = await openMetastoreAdmin(resolveConfig(config, process.env))
 * const { rows } = await admin.list({ prefix: '_SK_' })
 * ```
 */
export async function openMetastoreAdmin(resolved: ResolvedConfig): Promise<MetastoreAdmin> {
  return (await openMetastoreAndAdmin(resolved)).admin
}

/** As {@link openMetastoreAdmin}, with the metastore itself. */
export async function openMetastoreAndAdmin({ config, secrets }: ResolvedConfig): Promise<OpenedMetastore> {
  refuseForeign(config)
  const metastore = await openMetastore(config, secrets.forBackends())
  return { metastore, admin: await metastoreAdminOf(metastore) }
}

/**
 * The admin interface of a metastore that is open already; closing the one closes the other.
 *
 * @throws AsherahError `ERR_NOT_BUILT_IN` for one that is none of this library.
 *
 * @example
 * ```ts
 * const admin = await metastoreAdminOf(new MemoryMetastore())
 * ```
 */
export async function metastoreAdminOf(metastore: Metastore): Promise<MetastoreAdmin> {
  const store = await rowStoreOf(metastore)
  if (store !== undefined) return new MetastoreAdmin(store)
  throw new AsherahError('ERR_NOT_BUILT_IN', foreign)
}

async function rowStoreOf(metastore: Metastore): Promise<RowStore | undefined> {
  if (metastore instanceof MemoryMetastore) return new MemoryRows(metastore[internals]())
  if (metastore instanceof SqliteMetastore) {
    return new SqliteRows(
      (action, work) => metastore[internals](action, work),
      () => metastore.close(),
    )
  }
  // The others are imported only where their driver is there anyway.
  if (!(internals in metastore)) return undefined
  const [{ PostgresMetastore }, { MysqlMetastore }, { DynamoDbMetastore }] = await Promise.all([
    import('../metastore/postgres/postgres.ts'),
    import('../metastore/mysql/mysql.ts'),
    import('../metastore/dynamodb.ts'),
  ])
  if (metastore instanceof PostgresMetastore) {
    return new PostgresRows(
      (action, work) => metastore[internals](action, work),
      () => metastore.close(),
    )
  }
  if (metastore instanceof MysqlMetastore) {
    return new MysqlRows(
      (action, work) => metastore[internals](action, work),
      () => metastore.close(),
    )
  }
  if (metastore instanceof DynamoDbMetastore) {
    return new DynamoDbRows({ send: (command, input) => metastore[internals](command, input) }, () =>
      metastore.close(),
    )
  }
  return undefined
}

const foreign =
  'Keys can be listed and changed in the metastores of this library only: sqlite, rdbms, dynamodb and memory. For one of ' +
  'your own, do it with its own tools.'

function refuseForeign({ metastore }: Config): void {
  if (metastore.kind === 'object' || metastore.kind === 'module')
    throw new AsherahError('ERR_NOT_BUILT_IN', foreign)
}
