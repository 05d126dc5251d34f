// A process of its own that stores row after row and names each one that the store has accepted, until it is killed or
// the store fails: then it prints the error's code, the message and SQLite's own number, and checks that it still reads.
import { AsherahError } from '../../src/errors.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'
import { sampleRecord } from './contract.ts'

const [path = '', first = '0', bytes = '60'] = process.argv.slice(2)
try {
  const store = new SqliteMetastore(path)
  process.stdout.write('open\n')
  let created = Number(first)
  try {
    for (; ; created += 1) {
      const record = sampleRecord(created, created, {
        encryptedKey: new Uint8Array(Number(bytes)).fill(created & 0xff),
      })
      if (!(await store.store('_SK_a', created, record))) throw new Error('already there')
      process.stdout.write(`${created}\n`)
    }
  } finally {
    process.stdout.write(`latest ${(await store.loadLatest('_SK_a'))?.created}\n`)
    await store.close()
  }
} catch (error) {
  if (!(error instanceof AsherahError)) throw error
  const { errcode } = error.cause as { errcode?: number }
  process.stdout.write(`failed ${JSON.stringify({ code: error.code, message: error.message, errcode })}\n`)
}
