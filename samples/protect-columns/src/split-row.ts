import type { Plan } from './plan.ts'
import type { Source } from './source.ts'
import { inputError } from './text-file.ts'

/** A row of the source as the plan divides it. */
export interface SplitRow {
  readonly line: number
  readonly position: number
  readonly owner: string
  /** In the order of the plan's plain columns; null where a JSON object has no such member. */
  readonly plain: readonly (string | null)[]
  /** What is to be sealed: the text of one JSON object, in the row's own order. */
  readonly sensitive: string
}

/** @throws JobError `ERR_INPUT`, also when a row names no owner */
export async function* splitRows(source: Source, plan: Plan): AsyncGenerator<SplitRow, void, undefined> {
  const unsealed = new Set([plan.ownerColumn, ...plan.plainColumns])
  for await (const { line, position, values } of source.rows()) {
    const owner = source.toOwner(values.get(plan.ownerColumn))
    if (owner === undefined) {
      const hint = 'so nobody owns it. Fill it in, or choose another --partition-column'
      throw inputError(source.path, `line ${line} has no "${plan.ownerColumn}", ${hint}`)
    }
    const sealed = [...values].filter(([column]) => !unsealed.has(column))
    const members = sealed.map(([column, value]) => `${JSON.stringify(column)}:${source.toJson(value)}`)
    const plain = plan.plainColumns.map((column) => values.get(column) ?? null)
    yield { line, position, owner, plain, sensitive: `{${members.join(',')}}` }
  }
}
