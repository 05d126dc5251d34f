import type { KeyName } from '../config/schema.ts'

/** A key of the configuration as a flag of a command, without its dashes: `serviceName` is `service-name`. */
export function flagOf(key: KeyName): string {
  return key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replace(/^dynamo-db/, 'dynamodb')
}

/** The variable beside a flag: `ASHERAH_SERVICE_NAME` for `service-name`. */
export function variableOfFlag(flag: string): string {
  return `ASHERAH_${flag.replaceAll('-', '_').toUpperCase()}`
}

/** The variable of a key: `ASHERAH_SERVICE_NAME` for `serviceName`. */
export function variableOf(key: KeyName): string {
  return variableOfFlag(flagOf(key))
}

/** Other names of variables, which the sidecars of other implementations have (contract section 7.3). */
export const peerVariables: Readonly<Partial<Record<KeyName, string>>> = {
  productId: 'ASHERAH_PRODUCT_NAME',
  metastore: 'ASHERAH_METASTORE_MODE',
  kms: 'ASHERAH_KMS_MODE',
}

/** The name under which a parser of arguments keeps a flag: `serviceName` for `service-name`. */
export function attributeOfFlag(flag: string): string {
  return flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())
}
