import { CommandError } from '../command-error.ts'

/** What tells a row apart: for each key column, the value as text that the database reads back as the same value. */
export type RowKey = readonly string[]

/** A key as one text: of one column its value, of several a JSON array of theirs, which no value can be mistaken for. */
export function keyText(key: RowKey): string {
  const [only] = key
  return only !== undefined && key.length === 1 ? only : JSON.stringify(key)
}

/** A key as it is shown in a sentence. */
export function shownKey(key: RowKey): string {
  return key.length === 1 ? JSON.stringify(keyText(key)) : keyText(key)
}

/** What {@link keyText} wrote. @throws CommandError `ERR_USAGE`, which calls the text `what` */
export function readKey(what: string, text: string, keyColumns: readonly string[]): RowKey {
  if (keyColumns.length === 1) return [text]
  const key = textsOf(text)
  if (key?.length === keyColumns.length) return key
  const form = JSON.stringify(keyColumns.map((name) => `value of ${name}`))
  throw new CommandError('ERR_USAGE', `${what} must be a JSON array of texts, one for each key column`, form)
}

function textsOf(text: string): RowKey | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : undefined
  } catch {
    return undefined
  }
}

/** Each key column with its value. */
export function paired<Column>(
  columns: readonly Column[],
  key: RowKey,
): readonly (readonly [Column, string])[] {
  return columns.map((column, place) => {
    const text = key[place]
    if (text === undefined) throw new TypeError('a key has fewer values than its table has key columns')
    return [column, text]
  })
}
