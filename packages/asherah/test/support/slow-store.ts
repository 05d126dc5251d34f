import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { EnvelopeKeyRecord, Metastore } from '../../src/index.ts'
import type { MaybePromise } from '../../src/maybe-promise.ts'
import { SqliteMetastore } from '../../src/metastore/sqlite.ts'

/**
 * A metastore that answers later, over a SQLite file: `slow-store.ts?path=…&delay=5`. What the file `…control` holds is
 * done to each call: `throw`, `hang`, `exit` (the thread ends), or nothing.
 */
export function createMetastore(): Metastore {
  const url = new URL(import.meta.url)
  const path = url.searchParams.get('path') ?? fileURLToPath(url)
  const delay = Number(url.searchParams.get('delay') ?? 5)
  const store = new SqliteMetastore(path)
  const later = async <T>(answer: () => MaybePromise<T>): Promise<T> => {
    await sleep(delay)
    const control = await readFile(`${path}.control`, 'utf8').catch(() => '')
    if (control === 'throw') throw new Error('the test says that the store is down')
    if (control === 'hang') await sleep(60_000, undefined, { ref: false })
    if (control === 'exit') process.exit(3)
    return answer()
  }
  return {
    load: (keyId: string, created: number) => later(() => store.load(keyId, created)),
    loadLatest: (keyId: string) => later(() => store.loadLatest(keyId)),
    store: (keyId: string, created: number, record: EnvelopeKeyRecord) =>
      later(() => store.store(keyId, created, record)),
    close: () => store.close(),
  }
}
