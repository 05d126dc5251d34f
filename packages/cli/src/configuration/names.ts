import { type KeyName, keyNames, schema } from 'asherah/admin'

/** The keys that a text can give: all but objects of a program's own. */
export const textKeys: readonly KeyName[] = keyNames.filter(
  (key) => schema[key].type.kind !== 'clock' && schema[key].group !== 'without effect',
)

/** Whether a value must never be on a command line, which every process of the machine can read. */
export function isSecret(key: KeyName): boolean {
  return schema[key].type.kind === 'secret'
}
