import type { Config } from '../config/config.ts'
import type { BackendSecrets } from '../config/secrets.ts'
import { AsherahError } from '../errors.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { importBackend } from '../module-backend.ts'
import { MemoryMetastore } from './memory.ts'
import type { Metastore } from './metastore.ts'
import { SqliteMetastore } from './sqlite.ts'

/** The metastore that the configuration names. What it takes from npm is imported only now. */
export function openMetastore(
  { metastore, regionSuffix, limits }: Pick<Config, 'metastore' | 'regionSuffix' | 'limits'>,
  secrets: BackendSecrets,
): MaybePromise<Metastore> {
  switch (metastore.kind) {
    case 'memory':
      return new MemoryMetastore()
    case 'sqlite':
      return new SqliteMetastore(metastore.path)
    case 'rdbms':
      return openDatabase(metastore, secrets, limits)
    case 'dynamodb':
      return import('./dynamodb.ts')
        .then(({ DynamoDbMetastore }) => DynamoDbMetastore.open({ ...metastore, ...limits }))
        .then((store) => withSameSuffix(store, regionSuffix))
    case 'object':
      return metastore.metastore
    case 'module':
      return importBackend(metastore.url, 'metastore', 'createMetastore', isMetastore).then((store) =>
        withSameSuffix(store, regionSuffix),
      )
  }
}

async function openDatabase(
  { dialect, pool, replicaReadConsistency }: Extract<Config['metastore'], { kind: 'rdbms' }>,
  { connection }: BackendSecrets,
  limits: Config['limits'],
): Promise<Metastore> {
  if (connection === undefined) throw new TypeError('a database was configured without its connection')
  const options = { ...limits, pool, ...(replicaReadConsistency !== undefined && { replicaReadConsistency }) }
  if (dialect === 'postgres') {
    const { PostgresMetastore } = await import('./postgres/postgres.ts')
    return PostgresMetastore.connect(connection, options)
  }
  const { MysqlMetastore } = await import('./mysql/mysql.ts')
  return MysqlMetastore.connect(connection, options)
}

/** The ids were made before the store was opened, so it can only confirm their suffix. */
function withSameSuffix(metastore: Metastore, regionSuffix: string): Metastore {
  const declared = metastore.regionSuffix ?? ''
  if (declared === '' || declared === regionSuffix) return metastore
  throw new AsherahError(
    'ERR_CONFIG_INVALID',
    `The metastore declares the region suffix '${declared}': set regionSuffix to it in the configuration.`,
  )
}

function isMetastore(value: unknown): value is Metastore {
  const store = value as Partial<Metastore> | null
  return (
    typeof store === 'object' &&
    store !== null &&
    typeof store.load === 'function' &&
    typeof store.loadLatest === 'function' &&
    typeof store.store === 'function'
  )
}
