import { AsherahError, type AsherahSession, clearPlaintext } from 'asherah'
import type { GrpcCall, MessageSink, OpenCall } from '../grpc/grpc-call.ts'
import { framed } from '../grpc/message-encoder.ts'
import { givenBytes, recordFields, recordText, sentRecord } from './record-text.ts'
import { SealedAnswers } from './sealed-answers.ts'
import {
  decodedRequest,
  type ReceivedRecord,
  type SessionRequest,
  type SessionResponse,
  sessionResponse,
} from './session-messages.ts'

/** What a stream needs of a session factory. */
export interface Sessions {
  getSession(partitionId: string): AsherahSession
}

const mostPartitionBytes = 256

/** The calls of `AppEncryption.Session`, each of which is a session of one partition. `fault` hears of errors of ours. */
export function sessionCalls(sessions: Sessions, fault: (error: unknown) => void): OpenCall {
  return (call) => new SessionStream(call, sessions, fault)
}

/**
 * One stream: `get_session` first, then encrypt and decrypt. Each request has one answer; one that fails is answered with
 * an error and changes nothing (contract section 7.2).
 */
class SessionStream implements MessageSink {
  readonly #call: GrpcCall
  readonly #sessions: Sessions
  readonly #fault: (error: unknown) => void
  #session: AsherahSession | undefined
  #answers: SealedAnswers | undefined

  constructor(call: GrpcCall, sessions: Sessions, fault: (error: unknown) => void) {
    this.#call = call
    this.#sessions = sessions
    this.#fault = fault
  }

  message(bytes: Buffer): undefined | Promise<void> {
    const request = decodedRequest(bytes)
    switch (request.request) {
      case 'encrypt':
        return this.#encrypt(request.encrypt?.data, bytes)
      case 'decrypt':
        return this.#decrypt(request.decrypt?.data_row_record)
      case 'get_session':
        this.#getSession(request.get_session)
        return undefined
      default:
        this.#refuse('empty request')
        return undefined
    }
  }

  halfClosed(): void {
    this.#call.end(0)
  }

  closed(): void {
    this.#session?.close()
  }

  #getSession(asked: SessionRequest['get_session']): void {
    if (this.#session !== undefined) {
      this.#refuse('session has already been initialized')
      return
    }
    const partitionId = asked?.partition_id ?? ''
    const problem = partitionProblem(partitionId)
    if (problem !== undefined) {
      this.#refuse(problem)
      return
    }
    try {
      this.#session = this.#sessions.getSession(partitionId)
    } catch (error) {
      this.#refuse(`get_session failed: ${this.#told(error)}`)
      return
    }
    this.#answer({})
  }

  #encrypt(given: Uint8Array | undefined, message: Buffer): undefined | Promise<void> {
    if (this.#session === undefined) {
      this.#refuse('session not yet initialized')
      return undefined
    }
    const data = givenBytes(given)
    this.#answers ??= new SealedAnswers(this.#session)
    const answer = this.#answers.seal(data)
    if (answer !== undefined) {
      message.fill(0)
      this.#call.send(answer, false)
      return undefined
    }
    return this.#session.encryptAsync(data).then(
      (later) => this.#encrypted(later, message),
      (error: unknown) => {
        message.fill(0)
        this.#refuse(`encrypt failed: ${this.#told(error)}`)
      },
    )
  }

  #decrypt(record: ReceivedRecord | null | undefined): undefined | Promise<void> {
    if (this.#session === undefined) {
      this.#refuse('session not yet initialized')
      return undefined
    }
    if (record === undefined || record === null) {
      this.#refuse('decrypt request missing data_row_record')
      return undefined
    }
    const fields = recordFields(record)
    if (fields === undefined) {
      this.#refuse('decrypt failed: the data_row_record has no key, or its key no parent_key_meta')
      return undefined
    }
    const data = this.#session.decryptFieldsAtOnce(fields)
    if (data !== undefined) {
      this.#decrypted(data)
      return undefined
    }
    return this.#session.decryptAsync(recordText(fields)).then(
      (later) => this.#decrypted(later),
      (error: unknown) => this.#refuse(`decrypt failed: ${this.#told(error)}`),
    )
  }

  /** The plaintext goes as soon as it is not needed: from the message here, from an answer when it is written. */
  #encrypted(record: string, message: Buffer): void {
    message.fill(0)
    this.#answer({ encrypt_response: { data_row_record: sentRecord(record) } })
  }

  #decrypted(data: Buffer): void {
    this.#call.send(framed(sessionResponse, { decrypt_response: { data } }, true), true)
    clearPlaintext(data)
  }

  #answer(response: SessionResponse): void {
    this.#call.send(framed(sessionResponse, response), false)
  }

  #refuse(message: string): void {
    this.#answer({ error_response: { message } })
  }

  /** The library's errors say what to do, and hold no secret; of any other, the client is not to know. */
  #told(error: unknown): string {
    if (error instanceof AsherahError) return `${error.message} (${error.code})`
    this.#fault(error)
    return 'internal error'
  }
}

/** The protocol's own bounds: what is longer, no column of a metastore holds; control characters would forge lines of logs. */
function partitionProblem(partitionId: string): string | undefined {
  if (partitionId === '') return 'partition_id is empty'
  if (Buffer.byteLength(partitionId) > mostPartitionBytes) {
    return `partition_id exceeds ${mostPartitionBytes} bytes`
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  if (/[\u0000-\u001f\u007f]/.test(partitionId)) return 'partition_id contains a control character'
  return undefined
}
