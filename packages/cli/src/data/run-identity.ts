import { createHash } from 'node:crypto'
import type { Options } from '../configuration/sources.ts'
import type { TableNames } from './record-table.ts'

/** What a run is about: two runs with the same one do the same. */
export interface RunIdentity {
  readonly table: string
  /** Several with commas between them. */
  readonly keyColumn: string
  readonly columns: readonly string[]
  readonly partitionColumn?: string
  readonly partition?: string
  /** As it was typed: a duration means another time in the run that goes on. */
  readonly olderThan?: string
  readonly revoked: boolean
  readonly from?: string
  readonly to?: string
}

/** What a run is about, by the flags. */
export function identityOf(options: Options, names: TableNames): RunIdentity {
  const { partition, olderThan, revoked, from, to } = options
  const { table, keyColumns, columns, partitionColumn } = names
  return {
    table,
    keyColumn: keyColumns.join(),
    columns,
    ...(partitionColumn !== undefined && { partitionColumn }),
    ...(typeof partition === 'string' && { partition }),
    ...(typeof olderThan === 'string' && { olderThan }),
    revoked: revoked === true,
    ...(typeof from === 'string' && { from }),
    ...(typeof to === 'string' && { to }),
  }
}

/** Where its state is. Ranges that run side by side in one folder have a file each. */
export function statePath({ state }: Options, { table, from, to }: RunIdentity): string {
  if (typeof state === 'string') return state
  const words = [
    table,
    ...(from === undefined ? [] : ['from', from]),
    ...(to === undefined ? [] : ['to', to]),
  ]
  const name = words.map((word) => encodeURIComponent(word)).join('-')
  // The name of a file has 255 bytes at most, and a key of several UUIDs in a range has more.
  const short =
    name.length <= 200 ? name : `${name.slice(0, 100)}-${createHash('sha256').update(name).digest('hex')}`
  return `asherah-reencrypt-${short}.json`
}
