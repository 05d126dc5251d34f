import { isDeepStrictEqual } from 'node:util'
import type { Options } from '../configuration/sources.ts'
import type { KeyRange, RecordTable, TableNames } from './record-table.ts'
import { readKey } from './row-key.ts'

/** The range of `--from` and `--to`. @throws CommandError `ERR_USAGE` */
export function readRange({ from, to }: Options, { keyColumns }: TableNames): KeyRange {
  return {
    after: typeof from === 'string' ? readKey('--from', from, keyColumns) : undefined,
    to: typeof to === 'string' ? readKey('--to', to, keyColumns) : undefined,
  }
}

/** Ranges with as many rows each. The first has the lower bound of the whole and the last the upper one, so that they miss no row. */
export async function* splitRange(
  table: RecordTable,
  range: KeyRange,
  parts: number,
): AsyncGenerator<KeyRange> {
  const total = await table.count(range)
  let { after } = range
  for (let part = 1; part <= parts; part++) {
    const place = Math.floor((total * part) / parts) - 1
    const found = part === parts || place < 0 ? undefined : await table.keyAt(range, place)
    const to = part === parts ? range.to : found
    // Fewer rows than parts: an empty range would have no bound to tell it by.
    if (part < parts && (to === undefined || isDeepStrictEqual(to, after))) continue
    yield { after, to }
    after = to
  }
}
