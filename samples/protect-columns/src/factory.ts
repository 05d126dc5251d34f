import { resolve } from 'node:path'
import { type Clock, SessionFactory } from 'asherah'

export const systemKeyId = '_SK_protect-columns_demo'

/** A factory on the keys in `database`; nothing is remembered from any other. Without a clock it lives in real time. */
export function openFactory(database: string, staticMasterKeyHex: string, clock?: Clock): SessionFactory {
  return new SessionFactory({
    serviceName: 'protect-columns',
    productId: 'demo',
    metastore: 'sqlite',
    connectionString: resolve(database),
    kms: 'static',
    staticMasterKeyHex,
    clock,
  })
}
