import type { KeyRow, MetastoreAdmin, ServiceKeyIds } from 'asherah/admin'
import type { Command } from 'commander'
import { CommandError } from './command-error.ts'
import type { Options } from './configuration/sources.ts'
import type { Output } from './output.ts'
import { typedDuration, typedTime } from './times.ts'

/** Adds the flags that say which keys. */
export function declareSelection(command: Command): void {
  command
    .option('--partition <id>', 'the intermediate keys of one partition')
    .option('--system', 'the system keys of the service')
    .option('--service', 'all keys of the service: its system keys and every intermediate key')
    .option('--key <id>', 'the keys of exactly this id')
    .option('--created <time>', 'with --key: the one that was created then')
    .option('--older-than <duration>', 'of these, those older than: 90d, 12h')
    .option(
      '--created-before <time>',
      'of these, those created before: 2026-11-22T08:00:00Z, or Unix seconds',
    )
}

/** Which keys. */
export interface Selection {
  readonly what:
    | { readonly kind: 'partition'; readonly partitionId: string }
    | { readonly kind: 'system' }
    | { readonly kind: 'service' }
    | { readonly kind: 'key'; readonly keyId: string; readonly created: number | undefined }
  /** Unix seconds. */
  readonly before: number | undefined
}

export function readSelection(options: Options): Selection {
  const { partition, system, service, key, created } = options
  const kinds = [partition, system, service, key].filter((value) => value !== undefined)
  if (kinds.length !== 1) {
    throw new CommandError(
      'ERR_USAGE',
      kinds.length === 0 ? 'no keys are named' : 'keys are named in two ways',
      'one of --partition ID, --system, --service, --key ID',
    )
  }
  if (created !== undefined && key === undefined) throw new CommandError('ERR_USAGE', '--created needs --key')
  const before = beforeOf(options)
  if (typeof partition === 'string') return { what: { kind: 'partition', partitionId: partition }, before }
  if (typeof key !== 'string') return { what: { kind: system === true ? 'system' : 'service' }, before }
  const at = typeof created === 'string' ? typedTime('--created', created) : undefined
  return { what: { kind: 'key', keyId: key, created: at }, before }
}

/** The time that --older-than and --created-before name; the earlier of both. */
export function beforeOf({ olderThan, createdBefore }: Options): number | undefined {
  const times = [
    ...(typeof olderThan === 'string'
      ? [Math.floor((Date.now() - typedDuration('--older-than', olderThan)) / 1000)]
      : []),
    ...(typeof createdBefore === 'string' ? [typedTime('--created-before', createdBefore)] : []),
  ]
  return times.length === 0 ? undefined : Math.min(...times)
}

/** The rows that are meant. One that cannot be understood is told, and passed over. */
export async function* selectedRows(
  admin: MetastoreAdmin,
  ids: ServiceKeyIds,
  { what, before }: Selection,
  output: Output,
): AsyncGenerator<KeyRow, void, undefined> {
  for await (const row of rowsOf(admin, ids, what, output)) {
    if (before === undefined || row.created < before) yield row
  }
}

async function* rowsOf(
  admin: MetastoreAdmin,
  ids: ServiceKeyIds,
  what: Selection['what'],
  output: Output,
): AsyncGenerator<KeyRow, void, undefined> {
  switch (what.kind) {
    case 'partition':
      for (const keyId of ids.intermediateKeyIds(what.partitionId)) yield* everyRow(admin, { keyId }, output)
      return
    case 'system':
      for (const keyId of ids.systemKeyIds) yield* everyRow(admin, { keyId }, output)
      return
    case 'service':
      yield* rowsOf(admin, ids, { kind: 'system' }, output)
      for await (const row of everyRow(admin, { prefix: '_IK_' }, output)) {
        // What only looks like another region's may be another product's.
        if (ids.identify(row.keyId)?.configured === true) yield row
      }
      return
    case 'key':
      for await (const row of everyRow(admin, { keyId: what.keyId }, output)) {
        if (what.created === undefined || row.created === what.created) yield row
      }
  }
}

/** All rows of a query, with a remark about each that cannot be understood. */
export function everyRow(
  admin: MetastoreAdmin,
  query: Parameters<MetastoreAdmin['rows']>[0],
  output: Output,
): AsyncGenerator<KeyRow, void, undefined> {
  return admin.rows(query, ({ keyId, created, problem }) => {
    output.note(`passed over: the row ${JSON.stringify(keyId)} of ${created}: ${problem}`)
  })
}
