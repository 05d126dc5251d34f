import { eventLoopTurn } from './engine/event-loop-turn.ts'
import type { KeyQuestion } from './engine/key-port.ts'
import { AsherahError, argumentError } from './errors.ts'
import { miss, mostInputs, overdue, type SessionHandle, wrongType } from './native/binding.ts'
import { faultError } from './native/checked.ts'
import type { Answers } from './native/many-answers.ts'
import { largeInputBytes, type Records } from './native/records.ts'
import {
  decryptBytes,
  decryptText,
  encryptBytes,
  encryptText,
  type RecordOperation,
} from './record-operation.ts'

/** Why an item has no result: what the call of one record would have thrown. */
export type ItemError = AsherahError | (TypeError & { readonly code: string })

/** What an item of {@link AsherahSession.encryptMany} came to: its record, or why there is none. */
export type EncryptedItem =
  | { readonly record: string; readonly error: undefined }
  | { readonly record: undefined; readonly error: ItemError }

/** What an item of {@link AsherahSession.decryptMany} came to: its bytes, or why there are none. */
export type DecryptedItem =
  | { readonly data: Buffer; readonly error: undefined }
  | { readonly data: undefined; readonly error: ItemError }

/** What an item of {@link AsherahSession.decryptStringMany} came to: its text, or why there is none. */
export type DecryptedStringItem =
  | { readonly text: string; readonly error: undefined }
  | { readonly text: undefined; readonly error: ItemError }

/** One of the things that a session does with a record, done with many. */
export interface BatchOperation<Input, Result, Item> {
  readonly one: RecordOperation<Input, Result>
  /** What the argument is called, and what it is. */
  readonly argument: readonly [name: string, expected: string]
  /** What is handed to the data plane: anything wrong that it would not notice is taken out. */
  readonly sendable: (inputs: readonly Input[]) => readonly unknown[]
  readonly attempt: (records: Records, session: SessionHandle, inputs: readonly unknown[]) => Answers
  readonly done: (result: Result) => Item
  readonly failed: (error: ItemError) => Item
}

const same = <Input>(inputs: readonly Input[]): readonly Input[] => inputs

export const encryptBytesMany: BatchOperation<Uint8Array, string, EncryptedItem> = {
  one: encryptBytes,
  argument: ['datas', 'an array of Uint8Arrays'],
  sendable: same,
  attempt: (records, session, inputs) => records.encryptMany(session, inputs),
  done: (record) => ({ record, error: undefined }),
  failed: (error) => ({ record: undefined, error }),
}

export const encryptTextMany: BatchOperation<string, string, EncryptedItem> = {
  one: encryptText,
  argument: ['texts', 'an array of strings'],
  sendable: (texts) =>
    texts.map((text) => (typeof text === 'string' && text.isWellFormed() ? text : undefined)),
  attempt: (records, session, inputs) => records.encryptStringMany(session, inputs),
  done: (record) => ({ record, error: undefined }),
  failed: (error) => ({ record: undefined, error }),
}

export const decryptBytesMany: BatchOperation<string | Uint8Array, Buffer, DecryptedItem> = {
  one: decryptBytes,
  argument: ['records', 'an array of strings or Uint8Arrays'],
  sendable: same,
  attempt: (records, session, inputs) => records.decryptMany(session, inputs),
  done: (data) => ({ data, error: undefined }),
  failed: (error) => ({ data: undefined, error }),
}

export const decryptTextMany: BatchOperation<string | Uint8Array, string, DecryptedStringItem> = {
  one: decryptText,
  argument: ['records', 'an array of strings or Uint8Arrays'],
  sendable: same,
  attempt: (records, session, inputs) => records.decryptStringMany(session, inputs),
  done: (text) => ({ text, error: undefined }),
  failed: (error) => ({ text: undefined, error }),
}

/** Most bytes, or characters, of one native call where the event loop waits: some 0.1 ms of work. */
const mostAtOnceBytes = 262_144

/** Milliseconds after which the event loop gets a turn. */
const longestRunMs = 4

/** The inputs of one call, and how far it has got with them. */
export class RecordBatch<Input, Result, Item> {
  readonly operation: BatchOperation<Input, Result, Item>
  readonly items: Item[]
  /** A copy: the caller's array may change meanwhile, or run code when it is read. */
  readonly #inputs: readonly Input[]
  readonly #sendable: readonly unknown[]
  /** Why a question could not be answered: the same is not asked twice. */
  readonly #failures = new Map<string, ItemError>()
  #next = 0
  #turnAt = performance.now()

  /** @throws TypeError `ERR_INVALID_ARG_TYPE` when `inputs` is no array */
  constructor(operation: BatchOperation<Input, Result, Item>, inputs: readonly Input[]) {
    if (!Array.isArray(inputs)) throw argumentError(...operation.argument, inputs)
    this.operation = operation
    this.#inputs = [...inputs]
    this.#sendable = operation.sendable(this.#inputs)
    this.items = new Array<Item>(this.#inputs.length)
  }

  /** The next input; undefined when there is none left. */
  get next(): { readonly input: Input } | undefined {
    return this.#next < this.#inputs.length ? { input: this.#inputs[this.#next] as Input } : undefined
  }

  /** Whether the next input would hold up the event loop by itself. */
  get nextIsLarge(): boolean {
    const input: unknown = this.#sendable[this.#next]
    return lengthOf(input) > largeInputBytes
  }

  get turnIsDue(): boolean {
    return performance.now() - this.#turnAt > longestRunMs
  }

  /** One turn of the event loop. */
  async turn(): Promise<void> {
    await eventLoopTurn()
    this.#turnAt = performance.now()
  }

  /** Goes on in one native call; `miss` or `overdue` when the next input's key has to be brought first. */
  run(records: Records, session: SessionHandle, briefly: boolean): typeof miss | typeof overdue | undefined {
    const from = this.#next
    const to = briefly ? this.#briefEnd() : Math.min(from + mostInputs, this.#inputs.length)
    const { answered, values } = this.operation.attempt(records, session, this.#sendable.slice(from, to))
    const { done } = this.operation
    for (let index = 0; index < answered; index++) {
      const answer = values[index]
      this.items[from + index] =
        typeof answer === 'number' ? this.#fault(from + index, answer) : done(answer as Result)
    }
    this.#next = from + answered
    const why = values[answered]
    return why === miss || why === overdue ? why : undefined
  }

  /** The next input's item is what this returns or throws. */
  settle(attempt: () => Result): void {
    try {
      this.#put(this.operation.done(attempt()))
    } catch (error) {
      this.#fail(error)
    }
  }

  async settleLater(attempt: () => Promise<Result>): Promise<void> {
    try {
      this.#put(this.operation.done(await attempt()))
    } catch (error) {
      this.#fail(error)
    }
  }

  /** The same after `ask` has brought the key, which is not asked for again once that failed. */
  bring(question: KeyQuestion, ask: () => void, attempt: () => Result): void {
    if (this.#failedBefore(question)) return
    try {
      ask()
    } catch (error) {
      this.#failFor(question, error)
      return
    }
    this.settle(attempt)
  }

  async bringLater(
    question: KeyQuestion,
    ask: () => Promise<void>,
    attempt: () => Promise<Result>,
  ): Promise<void> {
    if (this.#failedBefore(question)) return
    try {
      await ask()
    } catch (error) {
      this.#failFor(question, error)
      return
    }
    await this.settleLater(attempt)
  }

  #failedBefore(question: KeyQuestion): boolean {
    const failure = this.#failures.get(nameOf(question))
    if (failure !== undefined) this.#fail(failure)
    return failure !== undefined
  }

  #failFor(question: KeyQuestion, error: unknown): void {
    this.#failures.set(nameOf(question), asError(error))
    this.#fail(error)
  }

  #fail(error: unknown): void {
    this.#put(this.operation.failed(asError(error)))
  }

  #put(item: Item): void {
    this.items[this.#next] = item
    this.#next += 1
  }

  #fault(index: number, fault: number): Item {
    const { one, argument, failed } = this.operation
    if (fault !== wrongType) return failed(faultError(fault))
    try {
      one.require(this.#inputs[index] as Input, `${argument[0]}[${index}]`)
    } catch (error) {
      return failed(asError(error))
    }
    // The bytes were transferred elsewhere: `require` does not look for that.
    return failed(argumentError(`${argument[0]}[${index}]`, 'attached to its bytes', this.#inputs[index]))
  }

  /** The end of a part that does not hold up the event loop, before the next large input. */
  #briefEnd(): number {
    let bytes = 0
    let to = this.#next
    const most = Math.min(to + mostInputs, this.#inputs.length)
    while (to < most && bytes <= mostAtOnceBytes) {
      const length = lengthOf(this.#sendable[to])
      if (length > largeInputBytes) break
      bytes += length
      to += 1
    }
    return to
  }
}

function nameOf(question: KeyQuestion): string {
  return question.kind === 'latest' ? '' : `${question.created} ${question.keyId}`
}

function lengthOf(input: unknown): number {
  return typeof input === 'string' || input instanceof Uint8Array ? input.length : 0
}

function asError(error: unknown): ItemError {
  if (error instanceof AsherahError || (error instanceof TypeError && 'code' in error))
    return error as ItemError
  return new AsherahError('ERR_NATIVE_FAILURE', 'The call failed in a way that it should not.', {
    cause: error,
  })
}
