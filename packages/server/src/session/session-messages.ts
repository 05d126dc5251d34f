import { GrpcError, status } from '../grpc/status.ts'
import { type MessageType, messageType, protobufRoot, withoutOneofs } from '../protobuf-root.ts'

/** A 64-bit integer as protobufjs gives it: nothing of it is lost. */
export interface Int64 {
  readonly low: number
  readonly high: number
  toString(): string
}

export interface KeyMetaFields<Integer> {
  readonly created?: Integer
  readonly key_id?: string
}

/** Bytes are base64 text where a record's text has them so, which spares a copy. */
export interface EnvelopeKeyFields<Integer, Bytes> {
  readonly created?: Integer
  readonly key?: Bytes
  readonly parent_key_meta?: KeyMetaFields<Integer> | null
}

export interface RecordFields<Integer, Bytes> {
  readonly key?: EnvelopeKeyFields<Integer, Bytes> | null
  readonly data?: Bytes
}

export type ReceivedRecord = RecordFields<Int64, Uint8Array>

/** All of a record that is sent. */
export interface SentRecord<Bytes> {
  readonly key: {
    readonly created: number
    readonly key: Bytes
    readonly parent_key_meta: { readonly created: number; readonly key_id: string }
  }
  readonly data: Bytes
}

export interface SessionRequest {
  /** Which of the others was last on the wire; undefined for an empty message. */
  readonly request?: 'encrypt' | 'decrypt' | 'get_session'
  readonly encrypt?: { readonly data?: Uint8Array }
  readonly decrypt?: { readonly data_row_record?: ReceivedRecord | null }
  readonly get_session?: { readonly partition_id?: string }
}

export interface SessionResponse {
  readonly encrypt_response?: { readonly data_row_record: SentRecord<string | Uint8Array> }
  readonly decrypt_response?: { readonly data: Uint8Array }
  readonly error_response?: { readonly message: string }
}

const root = protobufRoot('appencryption.proto')
const requests = messageType<SessionRequest>(root, 'asherah.apps.server.SessionRequest')
/** Keeping a oneof has protobufjs delete the other members of each message. */
const plainRequests: MessageType<PlainRequest> = withoutOneofs(root, 'asherah.apps.server.SessionRequest')

export const sessionMethod = '/asherah.apps.server.AppEncryption/Session'
export const sessionResponse: MessageType<SessionResponse> = messageType(
  root,
  'asherah.apps.server.SessionResponse',
)

/** The record of an answer to `encrypt`, of our own. */
export function decodedRecord(bytes: Uint8Array): SentRecord<Uint8Array> {
  const { encrypt_response: answer } = sessionResponse.decode(bytes)
  if (answer === undefined) throw new TypeError('an answer without a record')
  return answer.data_row_record as SentRecord<Uint8Array>
}

/** @throws GrpcError for bytes that are no SessionRequest. */
export function decodedRequest(bytes: Uint8Array): SessionRequest {
  try {
    // Which of several was last on the wire, only the oneof tells.
    return theOnlyOne(plainRequests.decode(bytes)) ?? requests.decode(bytes)
  } catch {
    // The parser's own message may show what it stumbled over.
    throw new GrpcError(status.internal, 'a message is no SessionRequest')
  }
}

/** Members that are not there are null. */
type PlainRequest = {
  readonly [Name in Exclude<keyof SessionRequest, 'request'>]: SessionRequest[Name] | null
}

function theOnlyOne({ encrypt, decrypt, get_session }: Partial<PlainRequest>): SessionRequest | undefined {
  if (encrypt) return decrypt || get_session ? undefined : { request: 'encrypt', encrypt }
  if (decrypt) return get_session ? undefined : { request: 'decrypt', decrypt }
  return get_session ? { request: 'get_session', get_session } : undefined
}
