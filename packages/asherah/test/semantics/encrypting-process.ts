// A process of its own that encrypts again and again, over the SQLite file `argv[2]`, with the static master key `argv[3]`.
// It prints the key of each record, with the time before the call, and its first record; that it still reads all along.
import { setTimeout as sleep } from 'node:timers/promises'
import { SessionFactory } from '../../src/index.ts'
import { keyOf, productId, serviceName } from '../support/world.ts'

const [, , connectionString = '', staticMasterKeyHex = '', expireAfter = '', pauseMs = ''] = process.argv
const factory = new SessionFactory({
  serviceName,
  productId,
  metastore: 'sqlite',
  connectionString,
  kms: 'static',
  staticMasterKeyHex,
  expireAfter: Number(expireAfter),
  checkInterval: 1,
  createdPrecision: 1,
})
const session = factory.getSession('p')
const first = session.encryptString('first')
process.stdout.write(`${JSON.stringify({ first })}\n`)
for (;;) {
  const at = Date.now()
  const created = keyOf(session.encryptString('again'))
  if (session.decryptString(first) !== 'first') throw new Error('the first record reads differently')
  process.stdout.write(`${JSON.stringify({ at, created })}\n`)
  await sleep(Number(pauseMs))
}
