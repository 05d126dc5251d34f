import { existsSync } from 'node:fs'
import {
  type Config,
  type Metastore,
  type MetastoreAdmin,
  type OpenedMetastore,
  openMetastoreAndAdmin,
  type ResolvedConfig,
  ServiceKeyIds,
} from 'asherah/admin'
import type { CommandContext } from './command-context.ts'
import { CommandError } from './command-error.ts'

/** What commands about keys work with. */
export interface Opened {
  readonly config: Config
  readonly metastore: Metastore
  readonly admin: MetastoreAdmin
  readonly ids: ServiceKeyIds
}

/** Whether the metastore is an SQLite file that is not there: opening it would make it. */
export function isFileMissing({ metastore }: Config): boolean {
  return metastore.kind === 'sqlite' && metastore.path !== ':memory:' && !existsSync(metastore.path)
}

/** Opens the metastore. @throws CommandError `ERR_ABSENT` for an SQLite file that is not there: a look makes none. */
export function openPresent(resolved: ResolvedConfig): Promise<OpenedMetastore> {
  const { config } = resolved
  if (!isFileMissing(config)) return openMetastoreAndAdmin(resolved)
  const { path } = config.metastore as { readonly path: string }
  throw new CommandError('ERR_ABSENT', `there is no SQLite file ${path}`, 'asherah init --yes')
}

/** Opens the metastore of the configuration for as long as `work` takes. */
export async function withMetastore<T>(
  context: CommandContext,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const resolved = context.configuration()
  for (const notice of resolved.config.notices) context.output.note(`note: ${notice}`)
  const { metastore, admin } = await openPresent(resolved)
  try {
    return await work({ config: resolved.config, metastore, admin, ids: new ServiceKeyIds(resolved.config) })
  } finally {
    await admin.close()
  }
}
