import type { Arguments } from './arguments.ts'
import { JobError } from './job-error.ts'
import { ownColumns } from './row-store.ts'
import type { Source, Survey } from './source.ts'
import { inputError } from './text-file.ts'

/** Who owns a row, and what of it stays readable. All else is sealed, members that turn up later included. */
export interface Plan {
  readonly ownerColumn: string
  readonly plainColumns: readonly string[]
}

/** With what the survey found to be sealed, to be told. */
export interface ChosenPlan extends Plan {
  readonly sealedColumns: readonly string[]
}

/** SQLite takes 2,000 columns; each row is inserted with one variable a column. */
const mostPlainColumns = 1000
const ownerLike =
  /(^|[^a-z])(owner|user|customer|client|tenant|account|patient|member|person|employee|company|operator)/i

/** @throws JobError `ERR_ARGUMENT` for a column that does not exist, `ERR_INPUT` when no column can be the owner */
export function choosePlan(source: Source, survey: Survey, wanted: Arguments): ChosenPlan {
  const columns = [...survey.distinct.keys()]
  const ownerColumn =
    wanted.ownerColumn === undefined ? likelyOwner(source, survey) : existing(wanted.ownerColumn, columns)
  const sealed = new Set(
    wanted.columns === undefined
      ? columns.filter((column) => column !== ownerColumn)
      : wanted.columns.flatMap((group) => namesIn(group, columns)),
  )
  if (sealed.has(ownerColumn)) {
    throw new JobError(
      'ERR_ARGUMENT',
      `"${ownerColumn}" tells whose keys open a row, so it cannot be sealed itself. Leave it out of --columns`,
    )
  }
  if (sealed.size === 0) {
    throw inputError(
      source.path,
      `has only the column "${ownerColumn}": nothing is left to seal. Give another FILE`,
    )
  }
  const plainColumns = columns.filter((column) => column !== ownerColumn && !sealed.has(column))
  if (plainColumns.length > mostPlainColumns) {
    throw inputError(
      source.path,
      `would leave over ${mostPlainColumns} columns unsealed. Name more of them in --columns`,
    )
  }
  requireDifferent(source, [...ownColumns, ...plainColumns])
  return { ownerColumn, plainColumns, sealedColumns: [...sealed] }
}

/** SQLite tells column names apart without regard to case. */
function requireDifferent(source: Source, columns: readonly string[]): void {
  const seen = new Set<string>()
  for (const column of columns) {
    if (seen.has(column.toLowerCase())) {
      throw inputError(
        source.path,
        `has a second column "${column}" for SQLite. Rename it, or seal it with --columns`,
      )
    }
    seen.add(column.toLowerCase())
  }
}

/** A column that is called like an owner, else the one with the fewest values over one, else the first. */
function likelyOwner(source: Source, survey: Survey): string {
  const candidates = [...survey.owning]
  const [first] = candidates
  if (first === undefined) {
    throw inputError(
      source.path,
      'has no column that is filled in every row. Choose one with --partition-column NAME',
    )
  }
  const values = (column: string): number => survey.distinct.get(column) ?? 0
  const [fewest = first] = candidates
    .filter((column) => values(column) > 1)
    .toSorted((one, other) => values(one) - values(other))
  return candidates.find((column) => ownerLike.test(column)) ?? fewest
}

/** Names separated by commas; a name that has a comma itself is given alone. */
function namesIn(group: string, columns: readonly string[]): readonly string[] {
  if (columns.includes(group)) return [group]
  return group.split(',').map((name) => existing(name.trim(), columns))
}

function existing(name: string, columns: readonly string[]): string {
  if (columns.includes(name)) return name
  const some = columns.slice(0, 20).join(', ')
  const more = columns.length > 20 ? `, and ${columns.length - 20} more` : ''
  throw new JobError('ERR_ARGUMENT', `There is no column "${name}". The columns are: ${some}${more}`)
}
