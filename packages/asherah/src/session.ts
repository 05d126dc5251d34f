import { eventLoopTurn, turnIsDue } from './engine/event-loop-turn.ts'
import type { KeyQuestion } from './engine/key-port.ts'
import { isTimeout } from './engine/time-limit.ts'
import { AsherahError } from './errors.ts'
import { isPromiseLike, type MaybePromise } from './maybe-promise.ts'
import { miss, overdue, type SessionHandle, tolerateOverdue } from './native/binding.ts'
import { faultError } from './native/checked.ts'
import { metrics } from './observability/metrics.ts'
import {
  type BatchOperation,
  type DecryptedItem,
  type DecryptedStringItem,
  decryptBytesMany,
  decryptTextMany,
  type EncryptedItem,
  encryptBytesMany,
  encryptTextMany,
  RecordBatch,
} from './record-batch.ts'
import type { DataToSeal, RecordFields, RecordTimes } from './record-fields.ts'
import {
  decryptBytes,
  decryptFields,
  decryptText,
  encryptBytes,
  encryptFields,
  encryptText,
  type OperationAtOnce,
  type RecordOperation,
} from './record-operation.ts'
import type { SessionHost } from './session-host.ts'

/** A key that leaves the ring this often between being put there and being used means that the ring is too small. */
const mostAttempts = 8

/** As much of an operation as decides which key it needs. */
type Described = Pick<RecordOperation<never, unknown>, 'type'>

/**
 * Encrypts and decrypts the records of one partition. Made by {@link SessionFactory.getSession}; cheap to make and to keep,
 * since keys live in the factory's ring. Close it, or let it be collected.
 *
 * A synchronous call takes about a microsecond while its key is in memory. When it is not, the call loads it, which blocks
 * the thread for as long as the metastore and the KMS take; the `Async` forms wait without blocking.
 *
 * @example
 * ```ts
 * using session = factory.getSession('user-42')
 * const record = session.encryptString('4111 1111 1111 1111')
 * session.decryptString(record) // '4111 1111 1111 1111'
 * ```
 */
export class AsherahSession {
  /** The partition whose records this session reads and writes. */
  readonly partitionId: string
  readonly #host: SessionHost
  readonly #handle: SessionHandle
  #inFlight = 0
  #closed = false

  /** @internal Sessions are made by {@link SessionFactory.getSession}. */
  constructor(host: SessionHost, partitionId: string) {
    this.partitionId = partitionId
    this.#host = host
    this.#handle = host.openSession(this)
  }

  /**
   * Seals `data` (0 bytes to 64 MiB) under a new data row key and answers with the DataRowRecord as JSON text.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE` when `data` is no Uint8Array
   * @throws AsherahError `ERR_PAYLOAD_TOO_LARGE`, `ERR_CLOSED`, `ERR_METASTORE`, `ERR_KMS`, `ERR_TIMEOUT`, `ERR_WOULD_BLOCK`
   */
  encrypt(data: Uint8Array): string {
    return this.#now(encryptBytes, data)
  }

  /**
   * {@link encrypt} for text, which is sealed as UTF-8.
   *
   * @throws AsherahError `ERR_TEXT_MALFORMED` when the text has a lone surrogate, which UTF-8 cannot hold
   */
  encryptString(text: string): string {
    return this.#now(encryptText, text)
  }

  /**
   * Opens a DataRowRecord of this partition, given as JSON text or its UTF-8 bytes. Expired and revoked keys decrypt. The
   * answer's bytes are the caller's to keep; `clearPlaintext` overwrites them.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE` when `record` is neither
   * @throws AsherahError `ERR_RECORD_MALFORMED`, `ERR_RECORD_FOREIGN`, `ERR_RECORD_DATA_AUTHENTICATION`,
   *   `ERR_RECORD_KEY_AUTHENTICATION`, `ERR_KEY_NOT_FOUND`, `ERR_KEY_CORRUPT`, `ERR_PAYLOAD_TOO_LARGE`, `ERR_CLOSED`,
   *   `ERR_METASTORE`, `ERR_KMS`, `ERR_TIMEOUT`, `ERR_WOULD_BLOCK`
   */
  decrypt(record: string | Uint8Array): Buffer {
    return this.#now(decryptBytes, record)
  }

  /**
   * {@link decrypt} for text.
   *
   * @throws AsherahError `ERR_TEXT_NOT_UTF8` when the record holds bytes that are no UTF-8
   */
  decryptString(record: string | Uint8Array): string {
    return this.#now(decryptText, record)
  }

  /** {@link encrypt} without blocking: done at once while the key is in memory and the payload is small. */
  encryptAsync(data: Uint8Array): Promise<string> {
    return this.#later(encryptBytes, data)
  }

  /** {@link encryptString} without blocking. */
  encryptStringAsync(text: string): Promise<string> {
    return this.#later(encryptText, text)
  }

  /** {@link decrypt} without blocking. */
  decryptAsync(record: string | Uint8Array): Promise<Buffer> {
    return this.#later(decryptBytes, record)
  }

  /** {@link decryptString} without blocking. */
  decryptStringAsync(record: string | Uint8Array): Promise<string> {
    return this.#later(decryptText, record)
  }

  /**
   * {@link encrypt} for many, 64 a native call: an item for each of `datas`, in their order, with its record or its error.
   * A wrong item does not cost the others theirs; a missing key is loaded once.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE` when `datas` is no array
   * @throws AsherahError `ERR_CLOSED`; whatever else goes wrong is an item's error
   * @example
   * ```ts
   * const items = session.encryptMany([Buffer.from('one'), Buffer.from('two')])
   * for (const { record, error } of items) {
   *   if (error === undefined) save(record)
   *   else report(error)
   * }
   * ```
   */
  encryptMany(datas: readonly Uint8Array[]): EncryptedItem[] {
    return this.#manyNow(encryptBytesMany, datas)
  }

  /** {@link encryptMany} for texts. */
  encryptStringMany(texts: readonly string[]): EncryptedItem[] {
    return this.#manyNow(encryptTextMany, texts)
  }

  /** {@link decrypt} for many, as {@link encryptMany}: items with `data` or `error`. */
  decryptMany(records: readonly (string | Uint8Array)[]): DecryptedItem[] {
    return this.#manyNow(decryptBytesMany, records)
  }

  /** {@link decryptString} for many, as {@link encryptMany}: items with `text` or `error`. */
  decryptStringMany(records: readonly (string | Uint8Array)[]): DecryptedStringItem[] {
    return this.#manyNow(decryptTextMany, records)
  }

  /**
   * {@link encryptMany} without blocking: a long array gives the event loop a turn every few milliseconds. The array is
   * copied; the bytes in it are read when their turn comes, so leave them as they are until then.
   */
  encryptManyAsync(datas: readonly Uint8Array[]): Promise<EncryptedItem[]> {
    return this.#manyLater(encryptBytesMany, datas)
  }

  /** {@link encryptStringMany} without blocking. */
  encryptStringManyAsync(texts: readonly string[]): Promise<EncryptedItem[]> {
    return this.#manyLater(encryptTextMany, texts)
  }

  /** {@link decryptMany} without blocking, as {@link encryptManyAsync}. */
  decryptManyAsync(records: readonly (string | Uint8Array)[]): Promise<DecryptedItem[]> {
    return this.#manyLater(decryptBytesMany, records)
  }

  /** {@link decryptStringMany} without blocking, as {@link encryptManyAsync}. */
  decryptStringManyAsync(records: readonly (string | Uint8Array)[]): Promise<DecryptedStringItem[]> {
    return this.#manyLater(decryptTextMany, records)
  }

  /** @internal The id of the intermediate key that new records name as their parent. */
  get intermediateKeyId(): string {
    return this.#host.ids.intermediateKeyId(this.partitionId)
  }

  /**
   * @internal For a server with many callers on one thread, whose protocol carries a record's fields as bytes: seals when that can
   * be done at once, without waiting for a key or holding up others; undefined, with what was in `out`, when
   * {@link encryptAsync} is to be called. A failure shows there too.
   */
  encryptFieldsAtOnce(input: DataToSeal): RecordTimes | undefined {
    return this.#atOnce(encryptFields, input)
  }

  /** @internal {@link encryptFieldsAtOnce} for {@link decryptAsync}, which judges a record by the same rules. */
  decryptFieldsAtOnce(record: RecordFields): Buffer | undefined {
    return this.#atOnce(decryptFields, record)
  }

  /** Ends this session; calls that were accepted finish. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#inFlight === 0) this.#host.closeSession(this, this.#handle)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #now<Input, Result>(operation: RecordOperation<Input, Result>, input: Input): Result {
    operation.require(input)
    const host = this.#host
    if (this.#closed || host.observed) return this.#observedNow(operation, input)
    const answer = operation.attempt(host.records, this.#handle, input, 0)
    if (typeof answer === 'number') return this.#finishNow(operation, input, answer)
    if (host.records.due) this.#checkLater(operation)
    return answer
  }

  #manyNow<Input, Result, Item>(
    operation: BatchOperation<Input, Result, Item>,
    inputs: readonly Input[],
  ): Item[] {
    const batch = new RecordBatch(operation, inputs)
    const { one } = operation
    const host = this.#host
    this.#refuseWhenClosed()
    for (let next = batch.next; next !== undefined; next = batch.next) {
      const { input } = next
      if (host.observed) {
        batch.settle(() => this.#now(one, input))
        continue
      }
      const waiting = batch.run(host.records, this.#handle, false)
      if (waiting === undefined) {
        if (host.records.due) this.#checkLater(one)
        continue
      }
      const question = this.#question(one)
      batch.bring(
        question,
        () => host.synchronous.askNow(question, waiting === overdue),
        () => {
          host.setClock()
          const answer = one.attempt(host.records, this.#handle, input, tolerateOverdue)
          return typeof answer === 'number' ? this.#finishNow(one, input, answer) : answer
        },
      )
    }
    return batch.items
  }

  #atOnce<Input, Result>(operation: OperationAtOnce<Input, Result>, input: Input): Result | undefined {
    operation.require(input)
    const host = this.#host
    if (this.#closed || host.observed || operation.isLarge(input)) return undefined
    const answer = operation.attempt(host.records, this.#handle, input, 0)
    if (typeof answer === 'number') return undefined
    if (host.records.due) this.#checkLater(operation)
    return answer
  }

  /** The slower path: a metrics hook, an injected clock, something closed. */
  #observedNow<Input, Result>(operation: RecordOperation<Input, Result>, input: Input): Result {
    this.#refuseWhenClosed()
    const started = metrics.start()
    try {
      this.#host.setClock()
      const answer = operation.attempt(this.#host.records, this.#handle, input, 0)
      this.#noteLookUp(operation, answer)
      if (typeof answer === 'number') return this.#finishNow(operation, input, answer)
      if (this.#host.records.due) this.#checkLater(operation)
      return answer
    } finally {
      metrics.timed(operation.type, started)
    }
  }

  #finishNow<Input, Result>(operation: RecordOperation<Input, Result>, input: Input, first: number): Result {
    let answer: Result | number = first
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      if (answer !== miss && answer !== overdue) throw faultError(answer)
      this.#host.synchronous.askNow(this.#question(operation), answer === overdue)
      this.#host.setClock()
      // Checked for this very call, or left to the background: used even if it is overdue again by now.
      answer = operation.attempt(this.#host.records, this.#handle, input, tolerateOverdue)
      if (typeof answer !== 'number') return answer
    }
    throw ringTooSmall()
  }

  async #later<Input, Result>(operation: RecordOperation<Input, Result>, input: Input): Promise<Result> {
    operation.require(input)
    const host = this.#host
    // Awaited here: a promise that an async function answers with costs it three turns of the microtask queue.
    if (this.#closed || host.observed || operation.isLarge(input))
      return await this.#waitFor(operation, input)
    const answer = operation.attempt(host.records, this.#handle, input, 0)
    if (typeof answer === 'number') return await this.#finishLater(operation, input, answer)
    if (host.records.due) this.#checkLater(operation)
    if (turnIsDue()) await eventLoopTurn()
    return answer
  }

  async #manyLater<Input, Result, Item>(
    operation: BatchOperation<Input, Result, Item>,
    inputs: readonly Input[],
  ): Promise<Item[]> {
    const batch = new RecordBatch(operation, inputs)
    const { one } = operation
    const host = this.#host
    this.#refuseWhenClosed()
    this.#enter()
    try {
      for (let next = batch.next; next !== undefined; next = batch.next) {
        const { input } = next
        if (host.observed || batch.nextIsLarge) {
          await batch.settleLater(() => this.#waitForAccepted(one, input))
          continue
        }
        const waiting = batch.run(host.records, this.#handle, true)
        if (waiting !== undefined) {
          const question = this.#question(one)
          await batch.bringLater(
            question,
            () => this.#askLater(question, waiting),
            async () => {
              host.setClock()
              const answer = this.#attempt(one, input, tolerateOverdue)
              return typeof answer === 'number' ? this.#finishLater(one, input, answer) : answer
            },
          )
        } else if (host.records.due) this.#checkLater(one)
        if (batch.turnIsDue) await batch.turn()
      }
    } finally {
      this.#leave()
    }
    return batch.items
  }

  /** The slower path of an asynchronous call: also for a large payload. */
  async #waitFor<Input, Result>(operation: RecordOperation<Input, Result>, input: Input): Promise<Result> {
    this.#refuseWhenClosed()
    return await this.#waitForAccepted(operation, input)
  }

  async #waitForAccepted<Input, Result>(
    operation: RecordOperation<Input, Result>,
    input: Input,
  ): Promise<Result> {
    const started = metrics.start()
    try {
      this.#host.setClock()
      const answer = this.#attempt(operation, input, 0)
      this.#noteLookUp(operation, answer)
      if (typeof answer === 'number') return await this.#finishLater(operation, input, answer)
      if (this.#host.records.due) this.#checkLater(operation)
      const result = (await answer) as Result
      if (turnIsDue()) await eventLoopTurn()
      return result
    } finally {
      metrics.timed(operation.type, started)
    }
  }

  async #finishLater<Input, Result>(
    operation: RecordOperation<Input, Result>,
    input: Input,
    first: number,
  ): Promise<Result> {
    // Faults are told before anything is copied or asked.
    if (first !== miss && first !== overdue) throw faultError(first)
    const owned = operation.own(input)
    this.#enter()
    try {
      let answer = await this.#askAndAttempt(operation, owned, first)
      for (let attempt = 1; attempt < mostAttempts && typeof answer === 'number'; attempt++) {
        if (answer !== miss && answer !== overdue) throw faultError(answer)
        // More calls at once than the ring has places push each other's keys out, so they go on one by one.
        answer = await this.#host.inTurn(async () => {
          const again = this.#attempt(operation, owned, 0)
          return await (typeof again === 'number' ? this.#askAndAttempt(operation, owned, again) : again)
        })
      }
      if (typeof answer === 'number') throw ringTooSmall()
      return answer
    } finally {
      operation.disown(owned)
      this.#leave()
    }
  }

  /**
   * To be called at once after the attempt that was not answered: the question is that of the thread's last call. No async
   * function, because ten thousand calls may wait here at once.
   */
  #askAndAttempt<Input, Result>(
    operation: RecordOperation<Input, Result>,
    owned: Input,
    unanswered: number,
  ): MaybePromise<Result | number> {
    if (unanswered !== miss && unanswered !== overdue) throw faultError(unanswered)
    const attempt = (): MaybePromise<Result | number> => {
      this.#host.setClock()
      // Checked for this very call: used even if that took so long that it is overdue again.
      return this.#attempt(operation, owned, tolerateOverdue)
    }
    const asked = this.#host.inLine.ask(this.#question(operation))
    // Each turn that is waited for needlessly is one in which the key may leave the ring again.
    if (!isPromiseLike(asked)) return attempt()
    return asked.then(attempt, (error: unknown) => {
      // A check that is never answered is an outage like any other: the key serves on while it may.
      if (unanswered !== overdue || !isTimeout(error)) throw error
      return attempt()
    })
  }

  async #askLater(question: KeyQuestion, unanswered: number): Promise<void> {
    try {
      await this.#host.inLine.ask(question)
    } catch (error) {
      // As in `#askAndAttempt`.
      if (unanswered !== overdue || !isTimeout(error)) throw error
    }
  }

  #attempt<Input, Result>(
    operation: RecordOperation<Input, Result>,
    input: Input,
    mode: number,
  ): MaybePromise<Result> | number {
    const { records } = this.#host
    if (!operation.isLarge(input)) return operation.attempt(records, this.#handle, input, mode)
    const answer = operation.attemptOnPool(records, this.#handle, input, mode)
    return typeof answer === 'number' ? answer : this.#fromPool(answer)
  }

  async #fromPool<Result>(pending: Promise<Result | number>): Promise<Result> {
    this.#enter()
    try {
      const answer = await pending
      if (typeof answer === 'number') throw faultError(answer)
      return answer
    } finally {
      this.#leave()
    }
  }

  #question(operation: Described): KeyQuestion {
    const { partitionId } = this
    if (operation.type === 'encrypt') return { kind: 'latest', partitionId }
    return { kind: 'existing', partitionId, ...this.#host.records.question() }
  }

  /** The key served, but is due for a check: somebody has to look again, and this call was told to. */
  #checkLater(operation: Described): void {
    this.#host.synchronous.inBackground(this.#question(operation))
  }

  #noteLookUp(operation: Described, answer: unknown): void {
    if (!metrics.active) return
    const name = operation.type === 'encrypt' ? 'latest' : 'meta'
    if (answer === miss) metrics.cache('cache_miss', name)
    else if (answer === overdue || this.#host.records.due) metrics.cache('cache_stale', name)
    else if (typeof answer !== 'number') metrics.cache('cache_hit', name)
  }

  /** What outlasts this turn of the event loop is counted: closing waits for it. */
  #enter(): void {
    this.#inFlight += 1
    this.#host.enter()
  }

  #leave(): void {
    this.#host.leave()
    this.#inFlight -= 1
    if (this.#closed && this.#inFlight === 0) this.#host.closeSession(this, this.#handle)
  }

  #refuseWhenClosed(): void {
    if (this.#host.closed) throw new AsherahError('ERR_CLOSED', 'The factory of this session is closed.')
    if (this.#closed)
      throw new AsherahError('ERR_CLOSED', 'This session is closed. Get another one from its factory.')
  }
}

function ringTooSmall(): AsherahError {
  return new AsherahError(
    'ERR_KEY_CONTENTION',
    'The key left the ring, or expired, each time before it could be used: try again; raise ringSize above the number of partitions in use at once.',
  )
}
