import { setImmediate as turn } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import type { Metastore } from '../../src/index.ts'
import { MemoryMetastore } from '../../src/metastore/memory.ts'

/** A store that answers later and, on the bridge, does not close: `stubborn-store.ts?end=…`, `hang` or `throw`. */
export function createMetastore(): Metastore {
  const end = new URL(import.meta.url).searchParams.get('end')
  const rows = new MemoryMetastore()
  return {
    load: (keyId, created) => turn(undefined).then(() => rows.load(keyId, created)),
    loadLatest: (keyId) => turn(undefined).then(() => rows.loadLatest(keyId)),
    store: (keyId, created, record) => turn(undefined).then(() => rows.store(keyId, created, record)),
    close() {
      if (isMainThread) return
      if (end === 'hang') return new Promise<void>(() => undefined)
      throw new Error('the test says so')
    },
  }
}
