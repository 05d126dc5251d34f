import { isUint8Array } from 'node:util/types'
import { AsherahError, argumentError } from './errors.ts'
import type { SessionHandle } from './native/binding.ts'
import { largeInputBytes, type Records } from './native/records.ts'
import type { DataToSeal, RecordFields, RecordTimes } from './record-fields.ts'

/**
 * One of the four things that a session does with a record: a native call that is made again after the engine has brought
 * the key that it lacked.
 */
export interface RecordOperation<Input, Result> {
  readonly type: 'encrypt' | 'decrypt'
  /** Throws what a wrong argument deserves; `name` is what it is called. */
  require(input: Input, name?: string): void
  /** The result; or, as a number below 0, `miss`, `overdue` or a fault. */
  attempt(records: Records, session: SessionHandle, input: Input, mode: number): Result | number
  /** The same on the thread pool, over a copy taken before it returns; a number when the key must be brought first. */
  attemptOnPool(
    records: Records,
    session: SessionHandle,
    input: Input,
    mode: number,
  ): Promise<Result | number> | number
  /** Whether doing it in line would hold up the event loop. */
  isLarge(input: Input): boolean
  /** A copy that the caller cannot change while the call waits for a key. */
  own(input: Input): Input
  /** Overwrites an owned plaintext. */
  disown(input: Input): void
}

export const encryptBytes: RecordOperation<Uint8Array, string> = {
  type: 'encrypt',
  require(data, name = 'data') {
    if (!(data instanceof Uint8Array) && !isUint8Array(data)) throw argumentError(name, 'a Uint8Array', data)
  },
  attempt: (records, session, data, mode) => records.encrypt(session, data, mode),
  attemptOnPool: (records, session, data, mode) => records.encryptOnPool(session, data, mode),
  isLarge: (data) => data.length > largeInputBytes,
  own: copyOf,
  disown: (data) => void data.fill(0),
}

export const encryptText: RecordOperation<string, string> = {
  type: 'encrypt',
  require(text, name = 'text') {
    if (typeof text !== 'string') throw argumentError(name, 'a string', text)
    if (!text.isWellFormed()) {
      throw new AsherahError(
        'ERR_TEXT_MALFORMED',
        'The text has a lone surrogate, which UTF-8 cannot hold. Encrypt its bytes in an encoding of your own instead.',
      )
    }
  },
  attempt: (records, session, text, mode) => records.encryptString(session, text, mode),
  attemptOnPool: (records, session, text, mode) => records.encryptStringOnPool(session, text, mode),
  isLarge: (text) => text.length > largeInputBytes,
  own: (text) => text,
  disown: () => undefined,
}

export const decryptBytes: RecordOperation<string | Uint8Array, Buffer> = {
  type: 'decrypt',
  require: requireRecord,
  attempt: (records, session, record, mode) => records.decrypt(session, record, mode),
  attemptOnPool: (records, session, record, mode) => records.decryptOnPool(session, record, mode),
  isLarge: (record) => record.length > largeInputBytes,
  own: (record) => (typeof record === 'string' ? record : copyOf(record)),
  disown: () => undefined,
}

export const decryptText: RecordOperation<string | Uint8Array, string> = {
  type: 'decrypt',
  require: requireRecord,
  attempt: (records, session, record, mode) => records.decryptString(session, record, mode),
  attemptOnPool: (records, session, record, mode) => records.decryptStringOnPool(session, record, mode),
  isLarge: (record) => record.length > largeInputBytes,
  own: (record) => (typeof record === 'string' ? record : copyOf(record)),
  disown: () => undefined,
}

/** As much of an operation as is tried at once only: what cannot be had at once goes by way of JSON. */
export type OperationAtOnce<Input, Result> = Pick<
  RecordOperation<Input, Result>,
  'type' | 'require' | 'isLarge' | 'attempt'
>

export const encryptFields: OperationAtOnce<DataToSeal, RecordTimes> = {
  type: 'encrypt',
  require: ({ data, out }) => {
    encryptBytes.require(data)
    encryptBytes.require(out, 'out')
  },
  isLarge: ({ data }) => encryptBytes.isLarge(data),
  attempt: (records, session, input, mode) => records.encryptFields(session, input, mode),
}

export const decryptFields: OperationAtOnce<RecordFields, Buffer> = {
  type: 'decrypt',
  require: ({ key, data }) => {
    encryptBytes.require(key, 'key')
    encryptBytes.require(data)
  },
  isLarge: ({ data }) => encryptBytes.isLarge(data),
  attempt: (records, session, record, mode) => records.decryptFields(session, record, mode),
}

function requireRecord(record: string | Uint8Array, name = 'record'): void {
  if (typeof record !== 'string' && !isUint8Array(record)) {
    throw argumentError(name, 'a string or a Uint8Array', record)
  }
}

function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length)
  copy.set(bytes)
  return copy
}
