import { fileURLToPath } from 'node:url'
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientOptions,
  credentials,
  loadPackageDefinition,
  type Metadata,
  type ServiceClientConstructor,
  type StatusObject,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

export interface WireRecord {
  readonly key: {
    readonly created: string
    readonly key: Buffer
    readonly parent_key_meta: { readonly created: string; readonly key_id: string } | null
  } | null
  readonly data: Buffer
}

export interface Response {
  readonly encrypt_response?: { readonly data_row_record: WireRecord }
  /** Empty bytes are not there. */
  readonly decrypt_response?: { readonly data?: Buffer }
  readonly error_response?: { readonly message: string }
}

const folder = fileURLToPath(new URL('../../proto/', import.meta.url))

/** A service of one of this package's protocols as grpc-js knows it, with 64-bit integers as text. */
export function serviceClient(file: string, name: string): ServiceClientConstructor {
  const options = { keepCase: true, longs: String, enums: String, includeDirs: [folder] }
  let found: unknown = loadPackageDefinition(loadSync(file, options))
  for (const part of name.split('.')) found = (found as Readonly<Record<string, unknown>>)[part]
  return found as ServiceClientConstructor
}

export const AppEncryption = serviceClient('appencryption.proto', 'asherah.apps.server.AppEncryption')

const mostBytes = 70 * 1024 * 1024

/** A connection of its own to a sidecar. */
export class SessionClient {
  readonly #client: InstanceType<ServiceClientConstructor>

  constructor(
    target: string,
    security: ChannelCredentials = credentials.createInsecure(),
    options: ClientOptions = {},
  ) {
    this.#client = new AppEncryption(target, security, {
      'grpc.max_receive_message_length': mostBytes,
      'grpc.max_send_message_length': mostBytes,
      // Clients of one test do not share a connection.
      'grpc.use_local_subchannel_pool': 1,
      'grpc.initial_reconnect_backoff_ms': 100,
      ...options,
    })
  }

  open(options: { readonly deadline?: number; readonly metadata?: Metadata } = {}): SessionStream {
    const { deadline, metadata } = options
    const call = deadline === undefined ? {} : { deadline }
    const session = this.#client['Session']
    if (session === undefined) throw new TypeError('the service has no method Session')
    const args = metadata === undefined ? [call] : [metadata, call]
    return new SessionStream(session.apply(this.#client, args) as ClientDuplexStream<object, Response>)
  }

  /** A stream whose session is open. */
  async session(partition: string): Promise<SessionStream> {
    const stream = this.open()
    const response = await stream.ask({ get_session: { partition_id: partition } })
    if (Object.keys(response).length > 0) throw new Error(JSON.stringify(response))
    return stream
  }

  close(): void {
    this.#client.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** One stream, whose responses are taken in order. */
export class SessionStream {
  readonly call: ClientDuplexStream<object, Response>
  /** How the call ended; never rejected. */
  readonly status: Promise<StatusObject>
  readonly #responses: Response[] = []
  readonly #waiting: { resolve(response: Response): void; reject(error: Error): void }[] = []
  #ended: Error | undefined

  constructor(call: ClientDuplexStream<object, Response>) {
    this.call = call
    this.status = new Promise((resolve) => call.once('status', resolve))
    call.on('error', () => undefined)
    call.on('data', (response: Response) => {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#responses.push(response)
      else waiting.resolve(response)
    })
    void this.status.then(({ code, details }) => {
      this.#ended = new Error(`the call ended: ${code} ${details}`)
      for (const { reject } of this.#waiting) reject(this.#ended)
      this.#waiting.length = 0
    })
  }

  send(request: object): void {
    this.call.write(request)
  }

  next(): Promise<Response> {
    const response = this.#responses.shift()
    if (response !== undefined) return Promise.resolve(response)
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  ask(request: object): Promise<Response> {
    this.send(request)
    return this.next()
  }

  async encrypt(data: Buffer): Promise<WireRecord> {
    const response = await this.ask({ encrypt: { data } })
    if (response.encrypt_response === undefined) throw new Error(JSON.stringify(response))
    return response.encrypt_response.data_row_record
  }

  async decrypt(record: WireRecord): Promise<Buffer> {
    const response = await this.ask({ decrypt: { data_row_record: record } })
    if (response.decrypt_response === undefined) throw new Error(JSON.stringify(response))
    return response.decrypt_response.data ?? Buffer.alloc(0)
  }

  /** Half-closes, and waits for the end. */
  async end(): Promise<StatusObject> {
    this.call.end()
    return this.status
  }
}
