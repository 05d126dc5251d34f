// From `import` to the first record, on the memory store.
import { SessionFactory } from 'asherah'

const staticMasterKeyHex = '5a'.repeat(32)
const factory = new SessionFactory({
  serviceName: 'api',
  productId: 'catalog',
  metastore: 'memory',
  kms: 'static',
  staticMasterKeyHex,
})
const session = factory.getSession('tenant-42')
if (session.decryptString(session.encryptString('4111 1111 1111 1111')) !== '4111 1111 1111 1111')
  process.exit(1)
