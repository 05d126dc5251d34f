// A process of its own that opens a store, says "ready", waits for a line, stores one row, and says whether it won.
import { once } from 'node:events'
import type { MaybePromise } from '../../src/maybe-promise.ts'
import type { Metastore } from '../../src/metastore/metastore.ts'
import { sampleRecord } from './contract.ts'

const [module = '', argument = '', keyId = '', created = '', seed = ''] = process.argv.slice(2)
const { openStore } = (await import(module)) as { openStore(argument: string): MaybePromise<Metastore> }
const store = await openStore(argument)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdout.write(
  `${await store.store(keyId, Number(created), sampleRecord(Number(created), Number(seed)))}\n`,
)
await store.close?.()
