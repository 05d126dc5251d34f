import { existsSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EnvelopeKeyRecord, Metastore } from '../../src/index.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'

/**
 * A metastore over a SQLite file that answers later, so that synchronous calls use the bridge: `ending-store.ts?path=…`.
 * While the file `…end` exists, the thread that stores a key ends, with that key at hand.
 */
export function createMetastore(): Metastore {
  const path = new URL(import.meta.url).searchParams.get('path') ?? ''
  const store = new SqliteMetastore(path)
  return {
    async load(keyId: string, created: number) {
      await sleep(1)
      return store.load(keyId, created)
    },
    async loadLatest(keyId: string) {
      await sleep(1)
      return store.loadLatest(keyId)
    },
    async store(keyId: string, created: number, record: EnvelopeKeyRecord) {
      await sleep(1)
      if (existsSync(`${path}.end`)) process.exit(3)
      return store.store(keyId, created, record)
    },
    close: () => store.close(),
  }
}
