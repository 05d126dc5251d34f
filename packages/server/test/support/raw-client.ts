import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
} from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { sessionMethod } from '../../src/session/session-messages.ts'

/** What came of a raw request. */
export interface RawResult {
  readonly headers: IncomingHttpHeaders
  /** `grpc-status` and `grpc-message`, from trailers or, without a body, from headers. */
  readonly status: string | undefined
  readonly message: string
  readonly body: Buffer
  readonly reset: number
}

/** HTTP/2 without anything of gRPC: for what a proper client never sends. */
export class RawClient {
  readonly session: ClientHttp2Session

  constructor(path: string) {
    this.session = connect('http://localhost', {
      maxSessionMemory: 1000,
      createConnection: () => connectSocket(path),
    })
    this.session.on('error', () => undefined)
  }

  request(headers: Readonly<Record<string, string>> = {}): ClientHttp2Stream {
    const stream = this.session.request(
      {
        ':method': 'POST',
        ':path': sessionMethod,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      },
      { endStream: false },
    )
    stream.on('error', () => undefined)
    return stream
  }

  close(): void {
    this.session.destroy()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** Waits until the stream has closed. */
export function outcome(stream: ClientHttp2Stream): Promise<RawResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let headers: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders | undefined
    stream.on('response', (got) => {
      headers = got
    })
    stream.on('trailers', (got) => {
      trailers = got
    })
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('close', () => {
      const from = trailers ?? headers
      resolve({
        headers,
        status: from['grpc-status']?.toString(),
        message: decodeURIComponent(from['grpc-message']?.toString() ?? ''),
        body: Buffer.concat(chunks),
        reset: stream.rstCode,
      })
    })
  })
}

/** A message behind its prefix. */
export function frame(message: Buffer, flag = 0, length = message.length): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt8(flag)
  prefix.writeUInt32BE(length, 1)
  return Buffer.concat([prefix, message])
}

/** `get_session` of partition `p`, and `encrypt` of `data`, as bytes of the wire. */
export const getSessionMessage = Buffer.from('1a030a0170', 'hex')

export function encryptMessage(data: Buffer): Buffer {
  const inner = Buffer.concat([Buffer.from([0x0a]), varint(data.length), data])
  return Buffer.concat([Buffer.from([0x0a]), varint(inner.length), inner])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return Buffer.from([...bytes, rest])
}

/** The messages of a body. */
export function unframed(body: Buffer): Buffer[] {
  const messages: Buffer[] = []
  for (let at = 0; at < body.length; ) {
    const length = body.readUInt32BE(at + 1)
    messages.push(body.subarray(at + 5, at + 5 + length))
    at += 5 + length
  }
  return messages
}
