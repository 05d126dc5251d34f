import { foreignVariables, keyNames, nearest, schema } from 'asherah/admin'
import { fileVariableOf, variablesOf } from './names.ts'
import type { Environment } from './sources.ts'

/** A variable that looks like ours, and what its name may have been meant to be. */
export interface UnreadVariable {
  readonly name: string
  readonly nearest: string | undefined
}

/** Variables that begin as ours do, and that neither the library, the command nor the sidecar reads: mostly misspelt ones. */
export async function unreadVariables(environment: Environment): Promise<readonly UnreadVariable[]> {
  const ofLibrary = new Set([
    'ASHERAH_CONFIG',
    ...keyNames.flatMap((key) => [...variablesOf(key), ...schema[key].environment]),
    ...keyNames.flatMap((key) => fileVariableOf(key) ?? []),
    ...foreignVariables.map(({ name }) => name),
  ])
  const names = Object.keys(environment).filter((name) => name.startsWith('ASHERAH_') && !ofLibrary.has(name))
  if (names.length === 0) return []
  const { serveFlags } = await import('asherah-server')
  const known = new Set([...ofLibrary, ...serveFlags.flatMap((flag) => flag.environment)])
  return names
    .filter((name) => !known.has(name))
    .map((name) => ({ name, nearest: nearest(name, [...known]) }))
}
