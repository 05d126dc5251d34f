import { randomBytes } from 'node:crypto'

/** What all measured factories have in common: the memory store, and a random master key given as in production. */
export interface Configuration {
  readonly serviceName: string
  readonly productId: string
  readonly metastore: 'memory'
  readonly kms: 'static'
  readonly staticMasterKeyHex: string
}

/** A configuration of its own for each factory. */
export function configuration(): Configuration {
  return {
    serviceName: 'api',
    productId: 'catalog',
    metastore: 'memory',
    kms: 'static',
    staticMasterKeyHex: randomBytes(32).toString('hex'),
  }
}
