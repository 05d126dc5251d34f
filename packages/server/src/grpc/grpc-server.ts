import {
  createSecureServer,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ByteBudget } from './byte-budget.ts'
import { type CallHost, GrpcCall, type OpenCall, refuse } from './grpc-call.ts'
import { status } from './status.ts'

/** How much a server takes on. */
export interface GrpcLimits {
  readonly maxMessageBytes: number
  /** Calls at a time, over all connections. */
  readonly maxStreams: number
  /** At least `maxMessageBytes`. */
  readonly maxBytesInFlight: number
  /** A call with nothing under way is ended after this; 0 means never. */
  readonly idleTimeoutMs: number
  /** A call whose client neither sends the rest of a message nor reads its answers is ended after this. */
  readonly stallTimeoutMs: number
}

/** The PEM texts of a server that takes only clients certified by `clientAuthority`. */
export interface TlsIdentity {
  readonly certificate: string
  readonly key: string
  readonly clientAuthority: string
}

/** Takes over an accepted connection. */
export type TakeConnection = (socket: Socket) => void

/** Ticks of a second: what idle and stalled calls are measured in. */
const tickMs = 250

const http2Options = {
  // Node's own limit of 10 MB a connection counts every stream of it; the limits above bound memory here.
  maxSessionMemory: 4096,
  settings: { enablePush: false },
} as const

/**
 * gRPC over `node:http2`, without compression: routes calls by path, bounds them, and ends them. It does not listen: each
 * accepted connection is handed to what {@link plain} or {@link secure} answer.
 */
export class GrpcServer implements CallHost {
  readonly maxMessageBytes: number
  readonly budget: ByteBudget
  readonly fault: (error: unknown) => void
  readonly #limits: GrpcLimits
  readonly #calls = new Set<GrpcCall>()
  readonly #sessions = new Set<Http2Session>()
  readonly #sweeper: NodeJS.Timeout
  #gathered: GrpcCall[] = []
  #turn: NodeJS.Immediate | undefined
  #tick = 0
  #draining = false
  #emptied: (() => void) | undefined

  /** `fault` hears of errors of ours. */
  constructor(limits: GrpcLimits, fault: (error: unknown) => void) {
    this.#limits = limits
    this.fault = fault
    this.maxMessageBytes = limits.maxMessageBytes
    this.budget = new ByteBudget(limits.maxBytesInFlight)
    this.#sweeper = setInterval(() => this.#sweep(), tickMs)
    this.#sweeper.unref()
  }

  get tick(): number {
    return this.#tick
  }

  /** Calls under way. */
  get calls(): number {
    return this.#calls.size
  }

  /** HTTP/2 without TLS, as on a Unix socket. */
  plain(routes: ReadonlyMap<string, OpenCall>): TakeConnection {
    const server = createServer({
      ...http2Options,
      settings: { ...http2Options.settings, maxConcurrentStreams: this.#limits.maxStreams },
    })
    return this.#serve(server, routes)
  }

  /** HTTP/2 in TLS 1.2 or newer, for clients with a certificate. */
  secure(routes: ReadonlyMap<string, OpenCall>, identity: TlsIdentity): TakeConnection {
    const server = createSecureServer({
      ...http2Options,
      settings: { ...http2Options.settings, maxConcurrentStreams: this.#limits.maxStreams },
      cert: identity.certificate,
      key: identity.key,
      ca: identity.clientAuthority,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
    })
    return this.#serve(server, routes)
  }

  atEndOfTurn(call: GrpcCall): void {
    this.#gathered.push(call)
    // Other frames may follow the last message of what is read.
    this.#turn ??= setImmediate(() => {
      this.#turn = undefined
      this.endTurn()
    })
  }

  endTurn(): void {
    if (this.#gathered.length === 0) return
    const calls = this.#gathered
    this.#gathered = []
    for (const call of calls) call.endOfTurn()
  }

  left(call: GrpcCall): void {
    this.#calls.delete(call)
    if (this.#calls.size === 0) this.#emptied?.()
  }

  /**
   * Has the clients go: no new call; the present ones are ended when they have rested for a moment with nothing under way,
   * and after `limitMs` in any case.
   */
  async drain(limitMs: number): Promise<void> {
    this.#draining = true
    for (const session of this.#sessions) session.close()
    if (this.#calls.size > 0) {
      const emptied = new Promise<void>((resolve) => {
        this.#emptied = resolve
      })
      const limit = new AbortController()
      await Promise.race([
        emptied,
        sleep(limitMs, undefined, { signal: limit.signal }).catch(() => undefined),
      ])
      limit.abort()
    }
    for (const call of this.#calls) call.cut(status.unavailable, 'the server is shutting down')
    // The statuses just sent are to arrive: sessions end by themselves as soon as their last stream has.
    const end = performance.now() + 250
    while (this.#sessions.size > 0 && performance.now() < end) await sleep(5)
    for (const session of this.#sessions) session.destroy()
    clearInterval(this.#sweeper)
  }

  #serve(
    server: ReturnType<typeof createServer> | ReturnType<typeof createSecureServer>,
    routes: ReadonlyMap<string, OpenCall>,
  ): TakeConnection {
    server.on('session', (session: ServerHttp2Session) => {
      this.#sessions.add(session)
      session.on('close', () => this.#sessions.delete(session))
      if (this.#draining) session.close()
    })
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      this.#receive(stream, headers, routes)
    })
    // A connection that breaks, or speaks something else, is the client's affair; its streams close.
    server.on('sessionError', () => undefined)
    server.on('tlsClientError', () => undefined)
    return (socket) => {
      socket.on('error', () => undefined)
      server.emit('connection', socket)
    }
  }

  #receive(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    routes: ReadonlyMap<string, OpenCall>,
  ): void {
    // What goes wrong on the wire closes the stream, which is listened to.
    stream.on('error', () => undefined)
    if (stream.destroyed) return
    const path = headers[':path'] ?? ''
    const encoding = headers['grpc-encoding'] ?? 'identity'
    const open = routes.get(path)
    if (headers[':method'] !== 'POST') refuseHttp(stream, 405, { allow: 'POST' })
    else if (!/^application\/grpc(?:\+proto)?(?:;|$)/i.test(headers['content-type'] ?? ''))
      refuseHttp(stream, 415)
    else if (open === undefined)
      refuse(stream, status.unimplemented, `there is no method ${path.slice(0, 200)}`)
    else if (encoding !== 'identity') {
      refuse(stream, status.unimplemented, `messages compressed by ${encoding} are not taken, only identity`)
    } else if (this.#draining) refuse(stream, status.unavailable, 'the server is shutting down')
    else if (this.#calls.size >= this.#limits.maxStreams) {
      refuse(
        stream,
        status.resourceExhausted,
        `the server has ${this.#limits.maxStreams} streams, as many as it may`,
      )
    } else {
      const call = new GrpcCall(this, stream)
      this.#calls.add(call)
      call.start(headers, open)
    }
  }

  #sweep(): void {
    this.#tick += 1
    const { idleTimeoutMs, stallTimeoutMs } = this.#limits
    const stallTicks = Math.ceil(stallTimeoutMs / tickMs)
    const idleTicks = idleTimeoutMs === 0 ? Number.POSITIVE_INFINITY : Math.ceil(idleTimeoutMs / tickMs)
    for (const call of this.#calls) {
      const resting = call.restingTicks
      if (resting < 2) continue
      if (call.underWay) {
        if (resting > stallTicks && call.waitsForClient) {
          call.cut(
            status.deadlineExceeded,
            'the client neither sent the rest of its message nor read its answers',
          )
        }
      } else if (this.#draining) call.end(status.unavailable, 'the server is shutting down')
      else if (resting > idleTicks && !call.listensOnly) {
        call.end(status.unavailable, 'the stream was idle for too long: open another one')
      }
    }
  }
}

function refuseHttp(
  stream: ServerHttp2Stream,
  code: number,
  headers: Readonly<Record<string, string>> = {},
): void {
  stream.respond({ ':status': code, ...headers }, { endStream: true })
  if (!stream.readableEnded) stream.close()
}
