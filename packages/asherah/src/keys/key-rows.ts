import { isUint8Array } from 'node:util/types'
import type { Opening } from '../engine/open-once.ts'
import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import { maxWrappedKeyBytes } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord, Metastore } from '../metastore/metastore.ts'
import type { Metrics } from '../observability/metrics.ts'
import { type BatchingMetastore, LatestBatch } from './latest-batch.ts'

/** Pauses before another look for the winner of a lost race, which a replica may not have yet. */
const replicaPausesMs = [0, 20, 80, 300]

/**
 * The metastore as the hierarchy uses it: each call timed, each answer checked, each failure an `AsherahError`. A row that
 * cannot be understood is a failure, never "absent".
 */
export class KeyRows {
  readonly #metastore: Opening<Metastore>
  readonly #metrics: Metrics
  #batch: LatestBatch | undefined
  #answersLater = false

  constructor(metastore: Opening<Metastore>, metrics: Metrics) {
    this.#metastore = metastore
    this.#metrics = metrics
  }

  *latest(keyId: string): Work<EnvelopeKeyRecord | undefined> {
    const row = yield* this.#timed('load', (metastore) => this.#loadLatest(metastore, keyId))
    return row === undefined ? undefined : understood(row)
  }

  *exact(keyId: string, created: number): Work<EnvelopeKeyRecord | undefined> {
    const row = yield* this.#timed('load', (metastore) => metastore.load(keyId, created))
    if (row === undefined) return undefined
    const copy = understood(row)
    if (copy.created !== created) {
      throw malformed(`the row of ${created} says that it was created at ${copy.created}`)
    }
    return copy
  }

  /**
   * True when the row was inserted, false when that id and time are taken. A store that fails may have stored all the
   * same (the acknowledgement was lost), so the row is looked for before the failure is passed on.
   */
  *insert(keyId: string, record: EnvelopeKeyRecord): Work<boolean> {
    checkLength(record.encryptedKey)
    try {
      return (
        (yield* this.#timed('store', (metastore) => metastore.store(keyId, record.created, record))) === true
      )
    } catch (failure) {
      let row: EnvelopeKeyRecord | undefined
      try {
        row = yield* this.exact(keyId, record.created)
      } catch {
        // The store is unreachable: its first failure says why.
        throw failure
      }
      if (row === undefined) throw failure
      return false
    }
  }

  /** The row that won a race, by its exact id and time; undefined when no replica shows it within some tenths of a second. */
  *winner(keyId: string, created: number): Work<EnvelopeKeyRecord | undefined> {
    for (const pauseMs of replicaPausesMs) {
      if (pauseMs > 0) yield new Promise((resolve) => setTimeout(resolve, pauseMs))
      const row = yield* this.exact(keyId, created)
      if (row !== undefined) return row
    }
    return undefined
  }

  #loadLatest(metastore: Metastore, keyId: string): MaybePromise<EnvelopeKeyRecord | undefined> {
    // A store that answers at once is asked at once: gathering would make synchronous calls wait.
    if (metastore.loadLatestMany === undefined || !this.#answersLater) {
      const answer = metastore.loadLatest(keyId)
      this.#answersLater = isPromiseLike(answer)
      return answer
    }
    this.#batch ??= new LatestBatch(metastore as BatchingMetastore)
    return this.#batch.load(keyId)
  }

  *#timed<T>(type: 'load' | 'store', call: (metastore: Metastore) => MaybePromise<T>): Work<T> {
    const metastore = this.#metastore.opened ?? (yield* this.#metastore.get())
    const started = this.#metrics.start()
    try {
      const answer = call(metastore)
      return isPromiseLike(answer) ? ((yield answer) as T) : answer
    } catch (cause) {
      if (cause instanceof AsherahError) throw cause
      throw new AsherahError(
        'ERR_METASTORE',
        `The metastore's ${type} failed; its own error is the cause of this one. Keys in memory serve on.`,
        { cause },
      )
    } finally {
      this.#metrics.timed(type, started)
    }
  }
}

/** The row as it is now: a copy, since a metastore may use its objects and buffers again while the engine waits. */
function understood(row: EnvelopeKeyRecord): EnvelopeKeyRecord {
  try {
    return copied(row)
  } catch (cause) {
    if (cause instanceof AsherahError) throw cause
    // An object of the store's own may do anything when it is looked at.
    throw malformed('looking at it failed, which is the cause of this error', cause)
  }
}

function copied(row: EnvelopeKeyRecord): EnvelopeKeyRecord {
  if (typeof row !== 'object' || row === null)
    throw malformed('the metastore answered with something that is no record')
  const { created, encryptedKey, parentKeyMeta: parent, revoked } = row
  if (!Number.isSafeInteger(created)) throw malformed('its created is no integer')
  if (!isUint8Array(encryptedKey)) throw malformed('its encryptedKey is no Uint8Array')
  checkLength(encryptedKey)
  // Anything else, such as a 1, would pass for "not revoked".
  if (revoked !== undefined && revoked !== null && typeof revoked !== 'boolean')
    throw malformed('its revoked is no boolean')
  const copy = { created, encryptedKey: new Uint8Array(encryptedKey), revoked: revoked === true }
  if (parent === undefined || parent === null) return copy
  const { keyId, created: parentCreated } = parent
  if (typeof keyId !== 'string' || !Number.isSafeInteger(parentCreated)) {
    throw malformed('its parentKeyMeta has no keyId or no created')
  }
  return { ...copy, parentKeyMeta: { keyId, created: parentCreated } }
}

/** The same both ways, and for every store: what was written can be read. */
function checkLength(encryptedKey: Uint8Array): void {
  if (encryptedKey.length > maxWrappedKeyBytes)
    throw malformed(`its encryptedKey has more than ${maxWrappedKeyBytes} bytes`)
}

function malformed(reason: string, cause?: unknown): AsherahError {
  return new AsherahError(
    'ERR_METASTORE_ROW_MALFORMED',
    `A key's row cannot be understood: ${reason}.`,
    cause === undefined ? undefined : { cause },
  )
}
