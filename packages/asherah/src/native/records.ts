import type { DataToSeal, RecordFields, RecordTimes } from '../record-fields.ts'
import {
  guardPlaintext,
  isolatePlaintext,
  type NativeBinding,
  type Question,
  type SessionHandle,
} from './binding.ts'
import { type Answers, answersOf } from './many-answers.ts'
import { type Plaintexts, plaintextsOf } from './plaintexts.ts'

/**
 * Input above this many bytes, or characters, is handled on the thread pool when the call is asynchronous. Microseconds of
 * the event loop's thread, in line and on the pool: 30 and 30 for 64 KiB, 100 and 90 for 128 KiB, 200 and 120 for 256 KiB,
 * 800 and 500 for 1 MiB (what stays is reading the input and making the result); a hop costs 50 µs of waiting.
 */
export const largeInputBytes = 131_072

/** How decrypted bytes are kept. */
export interface PlaintextOptions {
  /** Each result has memory of its own. */
  readonly isolated: boolean
  /** Each result has canaries around it. */
  readonly canaries: boolean
}

/** The first number says of the last call of this thread whether it is to start a check of the key. */
const mailbox = new Int32Array(1)
/** The times of the record that `encryptFields` made last. */
const times = new Float64Array(2)
let attached: NativeBinding | undefined

/**
 * The per-record calls of one factory, each of which is one native call. A number below 0 is `miss`, `overdue` or a fault.
 */
export class Records {
  readonly #native: NativeBinding
  readonly #plaintexts: Plaintexts
  readonly #mode: number

  /** `tellFailures` hears how many overwritten canaries were found, some time after. */
  constructor(native: NativeBinding, options: PlaintextOptions, tellFailures: (failures: number) => void) {
    if (attached !== native) native.attach(mailbox, times)
    attached = native
    this.#native = native
    this.#plaintexts = plaintextsOf(native)
    this.#mode = (options.isolated ? isolatePlaintext : 0) | (options.canaries ? guardPlaintext : 0)
    if (options.canaries) this.#plaintexts.guard(tellFailures)
  }

  /** Whether the key of the last call is due for a check, and its caller is the one to start it. */
  get due(): boolean {
    return mailbox[0] === 1
  }

  /** The key that the last decryption asked for, after `miss`, `overdue` or when a check is due. */
  question(): Question {
    return this.#native.question()
  }

  encrypt(session: SessionHandle, data: Uint8Array, mode: number): string | number {
    return this.#native.encrypt(session, data, mode)
  }

  /** The text must be well formed. */
  encryptString(session: SessionHandle, text: string, mode: number): string | number {
    return this.#native.encryptString(session, text, mode)
  }

  decrypt(session: SessionHandle, record: string | Uint8Array, mode: number): Buffer | number {
    return this.#plaintexts.decrypt(session, record, mode | this.#mode)
  }

  decryptString(session: SessionHandle, record: string | Uint8Array, mode: number): string | number {
    return this.#native.decryptString(session, record, mode)
  }

  encryptFields(session: SessionHandle, input: DataToSeal, mode: number): RecordTimes | number {
    const { data, out, keyAt, dataAt } = input
    const answer = this.#native.encryptFields(session, data, mode, out, keyAt, dataAt)
    if (answer < 0) return answer
    return { created: times[0] ?? Number.NaN, parentCreated: times[1] ?? Number.NaN }
  }

  decryptFields(session: SessionHandle, record: RecordFields, mode: number): Buffer | number {
    return this.#plaintexts.decryptFields(session, record, mode | this.#mode)
  }

  // Many at once: see `ManyCall`.

  encryptMany(session: SessionHandle, inputs: readonly unknown[]): Answers {
    return answersOf(this.#native.encryptMany, session, inputs, 0)
  }

  /** Texts must be well formed. */
  encryptStringMany(session: SessionHandle, inputs: readonly unknown[]): Answers {
    return answersOf(this.#native.encryptStringMany, session, inputs, 0)
  }

  decryptMany(session: SessionHandle, inputs: readonly unknown[]): Answers {
    return this.#plaintexts.decryptMany(session, inputs, this.#mode)
  }

  decryptStringMany(session: SessionHandle, inputs: readonly unknown[]): Answers {
    return answersOf(this.#native.decryptStringMany, session, inputs, 0)
  }

  encryptOnPool(session: SessionHandle, data: Uint8Array, mode: number): Promise<string | number> | number {
    return this.#native.encryptOnPool(session, data, mode)
  }

  encryptStringOnPool(session: SessionHandle, text: string, mode: number): Promise<string | number> | number {
    return this.#native.encryptStringOnPool(session, text, mode)
  }

  decryptOnPool(
    session: SessionHandle,
    record: string | Uint8Array,
    mode: number,
  ): Promise<Buffer | number> | number {
    const answer = this.#native.decryptOnPool(session, record, mode | this.#mode)
    if (typeof answer === 'number') return answer
    return answer.then((bytes) => (typeof bytes === 'number' ? bytes : this.#plaintexts.own(bytes)))
  }

  decryptStringOnPool(
    session: SessionHandle,
    record: string | Uint8Array,
    mode: number,
  ): Promise<string | number> | number {
    return this.#native.decryptStringOnPool(session, record, mode)
  }
}
