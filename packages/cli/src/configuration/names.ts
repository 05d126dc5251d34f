import { type KeyName, keyNames, peerVariables, schema, variableOf } from 'asherah/admin'

/** The keys that a text can give: all but objects of a program's own. */
export const textKeys: readonly KeyName[] = keyNames.filter(
  (key) => schema[key].type.kind !== 'clock' && schema[key].group !== 'without effect',
)

/** Whether a value must never be on a command line, which every process of the machine can read. */
export function isSecret(key: KeyName): boolean {
  return schema[key].type.kind === 'secret'
}

/** The variables that hold a value, the strongest first. */
export function variablesOf(key: KeyName): readonly string[] {
  return [variableOf(key), peerVariables[key]].flatMap((name) => name ?? [])
}

/** The variable that names a file with the value: of secrets alone. */
export function fileVariableOf(key: KeyName): string | undefined {
  return isSecret(key) ? `${variableOf(key)}_FILE` : undefined
}
