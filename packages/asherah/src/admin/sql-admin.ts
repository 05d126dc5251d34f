import { AsherahError } from '../errors.ts'
import { decodeKeyRecord, rowMalformed } from '../metastore/key-record-json.ts'
import type { SqlConnection } from '../metastore/sql/sql-connection.ts'
import { SqlFault, sqlError } from '../metastore/sql/sql-fault.ts'
import type { RawPage, RawRow } from './key-row.ts'

/** A metastore in a database, as far as it is used here: its connections, one statement at a time. */
export type RunOnConnection = <T>(
  action: string,
  work: (connection: SqlConnection) => Promise<T>,
) => Promise<T>

/** A row of a statement: id, time as it compares, time as Unix seconds or text, record. */
export type SqlRow = readonly [
  id: string,
  cursorTime: string,
  created: number | undefined,
  text: string | undefined,
]

export function rawRow([keyId, shownTime, created, text]: SqlRow): RawRow {
  return {
    keyId,
    created,
    shownTime,
    version: text,
    decode: (seconds) => {
      if (text === undefined) throw rowMalformed(keyId, seconds, 'is NULL')
      return decodeKeyRecord(keyId, seconds, text)
    },
  }
}

/** A part of a list, whose next one begins after its last row. */
export function sqlPage(rows: readonly RawRow[], limit: number): RawPage {
  const last = rows.at(-1)
  const next =
    last === undefined || rows.length < limit ? undefined : JSON.stringify([last.keyId, last.shownTime])
  return { rows, ...(next !== undefined && { next }) }
}

/** Where a list goes on. */
export function cursorOf(from: string | undefined): readonly [keyId: string, time: string] | undefined {
  if (from === undefined) return undefined
  const value: unknown = JSON.parse(from)
  if (Array.isArray(value) && typeof value[0] === 'string' && typeof value[1] === 'string') {
    return [value[0], value[1]]
  }
  throw new TypeError('the place where a list goes on is none of this store')
}

/** PostgreSQL's and MySQL's words for an account that may not. */
const refusals: readonly unknown[] = ['42501', 1142, 1143, 1227]

/** Runs a statement that the application's own account need not be allowed. */
export async function asOperator<T>(
  run: RunOnConnection,
  label: string,
  right: 'SELECT' | 'UPDATE' | 'DELETE',
  work: (connection: SqlConnection) => Promise<T>,
): Promise<T> {
  try {
    return await run(right === 'SELECT' ? 'read' : 'written', work)
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown }
    const refused =
      cause instanceof SqlFault && (refusals.includes(cause.code) || refusals.includes(cause.errno))
    if (!(error instanceof AsherahError) || !refused) throw error
    const meaning =
      `the account may not. What an operator does with keys needs ${right} on the table encryption_key: grant it, or ` +
      "configure an operator's account"
    throw sqlError(label, right === 'SELECT' ? 'read' : 'written', meaning, cause)
  }
}
