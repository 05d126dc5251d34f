import type { MetastoreConfig } from '../config/metastore-settings.ts'
import { AsherahError } from '../errors.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { importBackend } from '../module-backend.ts'
import { MemoryMetastore } from './memory.ts'
import type { Metastore } from './metastore.ts'
import { SqliteMetastore } from './sqlite.ts'

/** The metastore that the configuration names. */
export function openMetastore(config: MetastoreConfig, regionSuffix: string): MaybePromise<Metastore> {
  switch (config.kind) {
    case 'memory':
      return new MemoryMetastore()
    case 'sqlite':
      return new SqliteMetastore(config.path)
    case 'object':
      return config.metastore
    case 'module':
      return importBackend(config.url, 'metastore', 'createMetastore', isMetastore).then((metastore) =>
        withSameSuffix(metastore, regionSuffix),
      )
    default:
      throw new AsherahError('ERR_NOT_BUILT_IN', `The metastore '${config.kind}' is not built in.`)
  }
}

/** The ids were made before the module was imported, so it can only confirm their suffix. */
function withSameSuffix(metastore: Metastore, regionSuffix: string): Metastore {
  const declared = metastore.regionSuffix ?? ''
  if (declared === '' || declared === regionSuffix) return metastore
  throw new AsherahError(
    'ERR_CONFIG_INVALID',
    `The metastore's module declares the region suffix '${declared}': set regionSuffix to it in the configuration.`,
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
