import type { DatabaseSync } from 'node:sqlite'
import { isDeepStrictEqual } from 'node:util'
import { quoted, quotedTable, type TableNames, tableParts } from './record-table.ts'
import type { TableFacts } from './table-facts.ts'

/** A table, and whether there are NULLs in its key columns: SQLite lets them into primary keys. */
export function factsOf(database: DatabaseSync, { table, keyColumns }: TableNames): TableFacts {
  const { schema, name } = placeOf(table)
  const ask = asking(database)
  const columns = ask('SELECT name, type, pk FROM pragma_table_info(?, ?)', name, schema)
  // A table whose key is its row id has no index for it.
  const primaryKey = columns
    .filter(({ pk }) => Number(pk) > 0)
    .sort((one, other) => Number(one['pk']) - Number(other['pk']))
    .map((column) => String(column['name']))
  const indices = uniqueIndices(database, schema, name).map((members) => members.map(({ column }) => column))
  return {
    columns: columns.map((column) => {
      const called = String(column['name'])
      const nulls = `SELECT 1 FROM ${quotedTable(table, '"')} WHERE ${quoted(called, '"')} IS NULL LIMIT 1`
      const nullable = keyColumns.includes(called) && ask(nulls).length > 0
      return { name: called, type: String(column['type']), nullable }
    }),
    unique: [primaryKey, ...indices],
  }
}

/** How the index of the key compares its columns, which may be another way than theirs; undefined where it has none. */
export function collationsOf(
  database: DatabaseSync,
  { table, keyColumns }: TableNames,
): readonly string[] | undefined {
  const { schema, name } = placeOf(table)
  return uniqueIndices(database, schema, name)
    .find((members) =>
      isDeepStrictEqual(
        members.map(({ column }) => column),
        keyColumns,
      ),
    )
    ?.map(({ collation }) => collation)
}

function placeOf(table: string): { readonly schema: string; readonly name: string } {
  const [first = '', second] = tableParts(table)
  return second === undefined ? { schema: 'main', name: first } : { schema: first, name: second }
}

type Ask = (text: string, ...values: readonly string[]) => readonly Readonly<Record<string, unknown>>[]

function asking(database: DatabaseSync): Ask {
  return (text, ...values) => database.prepare(text).all(...values)
}

interface Member {
  readonly column: string
  readonly collation: string
}

/** Unique indices without a condition, over columns alone. */
function uniqueIndices(
  database: DatabaseSync,
  schema: string,
  table: string,
): readonly (readonly Member[])[] {
  const ask = asking(database)
  const names = ask(
    'SELECT name FROM pragma_index_list(?, ?) WHERE "unique" = 1 AND partial = 0',
    table,
    schema,
  )
  return names
    .map((index) =>
      ask(
        'SELECT name, coll FROM pragma_index_xinfo(?, ?) WHERE key = 1 ORDER BY seqno',
        String(index['name']),
        schema,
      ),
    )
    .filter((members) => members.every(({ name }) => name !== null))
    .map((members) => members.map(({ name, coll }) => ({ column: String(name), collation: String(coll) })))
}
