import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord, Metastore } from '../metastore/metastore.ts'

/** Most ids asked for in one query. */
const mostIds = 500

type Row = EnvelopeKeyRecord | undefined

/** A metastore that can be asked for many ids at once. */
export type BatchingMetastore = Metastore & Required<Pick<Metastore, 'loadLatestMany'>>

interface Waiting {
  resolve(row: Row): void
  reject(error: unknown): void
}

/**
 * Gathers the look-ups of one turn of the event loop into queries for many ids: ten thousand cold partitions that are
 * asked for at once cost twenty round trips. The ids of one gathering are distinct, since equal questions share a flight.
 */
export class LatestBatch {
  readonly #metastore: BatchingMetastore
  #waiting = new Map<string, Waiting>()

  constructor(metastore: BatchingMetastore) {
    this.#metastore = metastore
  }

  load(keyId: string): Promise<Row> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size === 0) setImmediate(() => this.#flush())
      this.#waiting.set(keyId, { resolve, reject })
      if (this.#waiting.size >= mostIds) this.#flush()
    })
  }

  #flush(): void {
    const batch = this.#waiting
    if (batch.size === 0) return
    this.#waiting = new Map()
    this.#answer(batch).catch((error: unknown) => {
      for (const { reject } of batch.values()) reject(error)
    })
  }

  async #answer(batch: ReadonlyMap<string, Waiting>): Promise<void> {
    const keyIds = [...batch.keys()]
    if (keyIds.length === 1) return this.#answerOneByOne(batch)
    let rows: ReadonlyMap<string, EnvelopeKeyRecord>
    try {
      rows = await this.#metastore.loadLatestMany(keyIds)
    } catch (error) {
      // One partition's damaged row must not fail the others that happened to be asked for with it.
      if (error instanceof AsherahError && error.code === 'ERR_METASTORE_ROW_MALFORMED') {
        return this.#answerOneByOne(batch)
      }
      throw error
    }
    for (const [keyId, { resolve }] of batch) resolve(rows.get(keyId))
  }

  async #answerOneByOne(batch: ReadonlyMap<string, Waiting>): Promise<void> {
    await Promise.all(
      [...batch].map(async ([keyId, { resolve, reject }]) => {
        try {
          resolve(await this.#metastore.loadLatest(keyId))
        } catch (error) {
          reject(error)
        }
      }),
    )
  }
}
