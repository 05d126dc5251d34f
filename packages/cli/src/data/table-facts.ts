import { CommandError } from '../command-error.ts'
import type { TableNames } from './record-table.ts'

/** A column as the database's catalogue has it. */
export interface ColumnFacts {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
}

/** A table as the database's catalogue has it. */
export interface TableFacts {
  /** None when there is no such table. */
  readonly columns: readonly ColumnFacts[]
  /** The columns of the primary key, and of each unique index without a condition, in its order. */
  readonly unique: readonly (readonly string[])[]
}

/** The facts of all columns that are named. @throws CommandError `ERR_ABSENT`, `ERR_INPUT` */
export function requireColumns(
  names: TableNames,
  facts: TableFacts,
): { readonly keys: readonly ColumnFacts[]; readonly records: readonly ColumnFacts[] } {
  const keys = requireKey(names, facts)
  const records = names.columns.map((name) => requireColumn(names, facts, name))
  if (names.partitionColumn !== undefined) requireColumn(names, facts, names.partitionColumn)
  return { keys, records }
}

function requireColumn({ table }: TableNames, { columns }: TableFacts, name: string): ColumnFacts {
  if (columns.length === 0) {
    throw new CommandError(
      'ERR_ABSENT',
      `there is no table ${JSON.stringify(table)}`,
      '--table NAME or SCHEMA.NAME',
    )
  }
  const column = columns.find((each) => each.name === name)
  if (column !== undefined) return column
  throw new CommandError(
    'ERR_ABSENT',
    `the table ${JSON.stringify(table)} has no column ${JSON.stringify(name)}`,
  )
}

/** In another order than the index's, each page would have the whole table put in order. */
function requireKey(names: TableNames, facts: TableFacts): readonly ColumnFacts[] {
  const { keyColumns } = names
  const keys = keyColumns.map((name) => requireColumn(names, facts, name))
  const shown = keyColumns.map((name) => JSON.stringify(name)).join(', ')
  const candidates = keys.some(({ nullable }) => nullable)
    ? []
    : facts.unique.filter(
        (index) => index.length === keys.length && keyColumns.every((name) => index.includes(name)),
      )
  const [index] = candidates
  if (index === undefined) {
    const [message, hint] =
      keys.length === 1
        ? [
            `the column ${shown} does not tell rows apart: it is no primary key, nor unique and NOT NULL`,
            'NAME',
          ]
        : [
            `the columns ${shown} do not tell rows apart: they are no primary key, nor unique together and NOT NULL`,
            'NAME,NAME',
          ]
    throw new CommandError('ERR_INPUT', message, `--key-column ${hint}`)
  }
  if (candidates.some((each) => keyColumns.every((name, place) => name === each[place]))) return keys
  throw new CommandError(
    'ERR_INPUT',
    `the columns ${shown} are a key in another order, in which rows cannot be gone through`,
    `--key-column ${index.join()}`,
  )
}

/** For keys that cannot be told apart, or put in order, by their text. */
export function keyTypeError(
  { keyColumns }: TableNames,
  name: string,
  type: string,
  possible: string,
): CommandError {
  const which = keyColumns.length === 1 ? 'the key column' : `the key column ${JSON.stringify(name)}`
  return new CommandError(
    'ERR_INPUT',
    `${which} is of the type ${type}, by which rows cannot be gone through; it must be ${possible}`,
    '--key-column NAME',
  )
}
