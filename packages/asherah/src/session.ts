import { eventLoopTurn, turnIsDue } from './engine/event-loop-turn.ts'
import type { KeyQuestion } from './engine/key-port.ts'
import { isTimeout } from './engine/time-limit.ts'
import { AsherahError } from './errors.ts'
import { isPromiseLike, type MaybePromise } from './maybe-promise.ts'
import { miss, overdue, type SessionHandle, tolerateOverdue } from './native/binding.ts'
import { faultError } from './native/checked.ts'
import { metrics } from './observability/metrics.ts'
import {
  decryptBytes,
  decryptText,
  encryptBytes,
  encryptText,
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
  async encryptAsync(data: Uint8Array): Promise<string> {
    return this.#later(encryptBytes, data)
  }

  /** {@link encryptString} without blocking. */
  async encryptStringAsync(text: string): Promise<string> {
    return this.#later(encryptText, text)
  }

  /** {@link decrypt} without blocking. */
  async decryptAsync(record: string | Uint8Array): Promise<Buffer> {
    return this.#later(decryptBytes, record)
  }

  /** {@link decryptString} without blocking. */
  async decryptStringAsync(record: string | Uint8Array): Promise<string> {
    return this.#later(decryptText, record)
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
    if (this.#closed || host.observed || operation.isLarge(input)) return this.#waitFor(operation, input)
    const answer = operation.attempt(host.records, this.#handle, input, 0)
    if (typeof answer === 'number') return this.#finishLater(operation, input, answer)
    if (host.records.due) this.#checkLater(operation)
    if (turnIsDue()) await eventLoopTurn()
    return answer
  }

  /** The slower path of an asynchronous call: also for a large payload. */
  async #waitFor<Input, Result>(operation: RecordOperation<Input, Result>, input: Input): Promise<Result> {
    this.#refuseWhenClosed()
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
    try {
      return await this.#accepted(async () => {
        let answer = await this.#askAndAttempt(operation, owned, first)
        for (let attempt = 1; attempt < mostAttempts && typeof answer === 'number'; attempt++) {
          if (answer !== miss && answer !== overdue) throw faultError(answer)
          // More calls at once than the ring has places push each other's keys out, so they go on one by one.
          answer = await this.#host.inTurn(async () => {
            const again = this.#attempt(operation, owned, 0)
            return typeof again === 'number' ? this.#askAndAttempt(operation, owned, again) : await again
          })
        }
        if (typeof answer === 'number') throw ringTooSmall()
        return answer
      })
    } finally {
      operation.disown(owned)
    }
  }

  /** To be called at once after the attempt that was not answered: the question is that of the thread's last call. */
  async #askAndAttempt<Input, Result>(
    operation: RecordOperation<Input, Result>,
    owned: Input,
    unanswered: number,
  ): Promise<Result | number> {
    if (unanswered !== miss && unanswered !== overdue) throw faultError(unanswered)
    const asked = this.#host.inLine.ask(this.#question(operation))
    // Each turn that is waited for needlessly is one in which the key may leave the ring again.
    try {
      if (isPromiseLike(asked)) await asked
    } catch (error) {
      // A check that is never answered is an outage like any other: the key serves on while it may.
      if (unanswered !== overdue || !isTimeout(error)) throw error
    }
    this.#host.setClock()
    // Checked for this very call: used even if that took so long that it is overdue again.
    return this.#attempt(operation, owned, tolerateOverdue)
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
    const answer = await this.#accepted(async () => pending)
    if (typeof answer === 'number') throw faultError(answer)
    return answer
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

  /** Runs what outlasts this turn of the event loop: closing waits for it. */
  async #accepted<T>(call: () => Promise<T>): Promise<T> {
    this.#inFlight += 1
    try {
      return await this.#host.accepted(call)
    } finally {
      this.#inFlight -= 1
      if (this.#closed && this.#inFlight === 0) this.#host.closeSession(this, this.#handle)
    }
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
    'The key left the ring each time before it could be used: raise ringSize above the number of partitions in use at once.',
  )
}
