import {
  type Config,
  type Metastore,
  type MetastoreAdmin,
  openMetastoreAndAdmin,
  ServiceKeyIds,
} from 'asherah/admin'
import type { CommandContext } from './command-context.ts'

/** What commands about keys work with. */
export interface Opened {
  readonly config: Config
  readonly metastore: Metastore
  readonly admin: MetastoreAdmin
  readonly ids: ServiceKeyIds
}

/** Opens the metastore of the configuration for as long as `work` takes. */
export async function withMetastore<T>(
  context: CommandContext,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const resolved = context.configuration()
  for (const notice of resolved.config.notices) context.output.note(`note: ${notice}`)
  const { metastore, admin } = await openMetastoreAndAdmin(resolved)
  try {
    return await work({ config: resolved.config, metastore, admin, ids: new ServiceKeyIds(resolved.config) })
  } finally {
    await admin.close()
  }
}
