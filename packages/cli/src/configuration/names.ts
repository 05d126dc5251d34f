import { type KeyName, keyNames, schema } from 'asherah/admin'

/** The keys that a text can give: all but objects of a program's own. */
export const textKeys: readonly KeyName[] = keyNames.filter(
  (key) => schema[key].type.kind !== 'clock' && schema[key].group !== 'without effect',
)

/** `serviceName` as a flag: `service-name`. */
export function flagOf(key: KeyName): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(/^dynamo-db/, 'dynamodb')
}

/** `serviceName` as a variable: `ASHERAH_SERVICE_NAME`. */
export function variableOf(key: KeyName): string {
  return `ASHERAH_${flagOf(key).replaceAll('-', '_').toUpperCase()}`
}

/** Other names of the variables, which the sidecars have (contract section 7.3). */
export const variableAliases: Readonly<Partial<Record<KeyName, string>>> = {
  productId: 'ASHERAH_PRODUCT_NAME',
  metastore: 'ASHERAH_METASTORE_MODE',
  kms: 'ASHERAH_KMS_MODE',
}

/** Whether a value must never be on a command line, which every process of the machine can read. */
export function isSecret(key: KeyName): boolean {
  return schema[key].type.kind === 'secret'
}
