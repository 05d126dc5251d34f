import {
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { ByteBudget } from './byte-budget.ts'
import { FrameReader } from './frame-reader.ts'
import { encodedMessage, GrpcError, type Status, status, timeoutMs } from './status.ts'

/** What a method of a service makes of one call. */
export interface MessageSink {
  /** Whether a client may be silent for as long as it likes. */
  readonly listensOnly?: boolean
  /** Handles one message, which lives until this is done; with a promise, the next one waits for it. */
  message(bytes: Buffer): undefined | Promise<void>
  /** The client has said all; every message has been handled. */
  halfClosed(): void
  /** The call is over, however it ended. */
  closed(): void
}

/** Begins a call. */
export type OpenCall = (call: GrpcCall) => MessageSink

/** How long a client that is cut off may take to read its status. */
export const patienceMs = 200

/** What calls share. */
export interface CallHost {
  readonly maxMessageBytes: number
  readonly budget: ByteBudget
  /** Counts up, some times a second: the clock of {@link GrpcCall.restingTicks}. */
  readonly tick: number
  /** An error of ours, which the client is told of as "internal error" only. */
  fault(error: unknown): void
  /** Has `endOfTurn` called when all that was read at once has been handled, or else before the event loop waits again. */
  atEndOfTurn(call: GrpcCall): void
  /** All that was read at once has been handled. */
  endTurn(): void
  left(call: GrpcCall): void
}

const answerHeaders: OutgoingHttpHeaders = { ':status': 200, 'content-type': 'application/grpc+proto' }

/** The response to what can have no call. */
export function refuse(stream: ServerHttp2Stream, code: Status, message: string): void {
  stream.respond(
    {
      ...answerHeaders,
      'grpc-status': String(code),
      'grpc-message': encodedMessage(message),
      ...(code === status.unimplemented && { 'grpc-accept-encoding': 'identity' }),
    },
    { endStream: true },
  )
  stopReading(stream)
}

/**
 * The rest of a request that was answered is not waited for (RFC 9113, section 8.1). A reset overtakes trailers of the same
 * turn of the event loop, so it comes in the next.
 */
function stopReading(stream: ServerHttp2Stream): void {
  if (stream.readableEnded) return
  setImmediate(() => {
    if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR)
  })
}

/**
 * Node gives each DATA frame to the stream's `push`, behind which it costs an event, a turn of the tick queue and a look
 * whether to read on: a tenth of all that a small message costs. While the stream flows and holds nothing back, that is what
 * `received` gets at once; everything else, and everything on a Node that should not call `push`, goes its usual way.
 */
function takeFramesEarly(stream: ServerHttp2Stream, received: (chunk: Buffer) => void): void {
  const push = stream.push
  stream.push = (chunk: Buffer | null, encoding) => {
    if (chunk === null || stream.readableFlowing !== true || stream.readableLength > 0) {
      return push.call(stream, chunk, encoding)
    }
    received(chunk)
    return true
  }
}

/**
 * Flows again. Node asks the connection for more only when a frame that it was given with `push` was read; the last ones before
 * a pause may have gone to `received`, and then the stream's window would stay shut for ever.
 */
function flowAgain(stream: ServerHttp2Stream): void {
  stream.resume()
  if (!stream.destroyed) stream._read(0)
}

/**
 * One gRPC call over one HTTP/2 stream: takes the messages out of it one after the other, writes the answers in the same
 * order, and ends it with a status. It stops reading while a message is being handled, while the client does not read its
 * answers, and while the server holds as many bytes as it may.
 */
export class GrpcCall {
  readonly #host: CallHost
  readonly #stream: ServerHttp2Stream
  readonly #frames: FrameReader
  #sink: MessageSink | undefined
  #deadline: NodeJS.Timeout | undefined
  /** What was received, and how many pieces of it have been taken. */
  readonly #pieces: Buffer[] = []
  #taken = 0
  #answers: Buffer[] = []
  #secret = false
  #pumping = false
  /** The end of this turn of the event loop will be told. */
  #scheduled = false
  /** A message is being handled. */
  #busy = false
  /** The client does not read its answers. */
  #full = false
  /** The next message has to wait for others' bytes. */
  #waiting: (() => void) | undefined
  /** What the message under way has of the budget, and all that this call has of it. */
  #share = 0
  #reserved = 0
  #halfClosed = false
  #ended = false
  #closed = false
  #movedAt: number

  constructor(host: CallHost, stream: ServerHttp2Stream) {
    this.#host = host
    this.#stream = stream
    this.#frames = new FrameReader(host.maxMessageBytes)
    this.#movedAt = host.tick
  }

  /** Listens. Everything that is wrong ends the call with a status. */
  start(headers: IncomingHttpHeaders, open: OpenCall): void {
    const stream = this.#stream
    stream.on('close', () => this.#close())
    try {
      this.#startDeadline(headers['grpc-timeout'])
      this.#sink = open(this)
    } catch (error) {
      this.#fail(error)
      return
    }
    const received = (chunk: Buffer): void => this.#received(chunk)
    stream.on('data', received)
    takeFramesEarly(stream, received)
    stream.on('end', () => {
      this.#halfClosed = true
      this.#pump()
    })
    stream.on('drain', () => {
      this.#movedAt = this.#host.tick
      this.#full = false
      this.#pump()
    })
  }

  /**
   * What is read at once has pieces for many calls. All are taken apart first, then their messages handled, then the answers
   * written, each call's together: a write costs more than an answer, and each step runs faster after its like.
   */
  #received(piece: Buffer): void {
    this.#movedAt = this.#host.tick
    if (this.#ended) return
    this.#pieces.push(piece)
    if (!this.#open) {
      this.#stream.pause()
      return
    }
    if (!this.#scheduled) {
      this.#scheduled = true
      this.#host.atEndOfTurn(this)
    }
    if (piece.byteOffset + piece.length === piece.buffer.byteLength) this.#host.endTurn()
  }

  /** What the host calls after {@link CallHost.atEndOfTurn}. */
  endOfTurn(): void {
    this.#scheduled = false
    this.#pump()
  }

  /** Ticks since anything was read or written. */
  get restingTicks(): number {
    return this.#host.tick - this.#movedAt
  }

  /** Whether a message is half here, being handled, or its answer not read. */
  get underWay(): boolean {
    return this.#busy || this.#waiting !== undefined || this.#hasRest || this.#stream.writableLength > 0
  }

  /** Whether the next step is the client's. */
  get waitsForClient(): boolean {
    return !this.#busy && this.#waiting === undefined
  }

  get listensOnly(): boolean {
    return this.#sink?.listensOnly === true
  }

  /** Sends a message with its prefix. A secret one is overwritten when it has been written, or cannot be any more. */
  send(answer: Buffer, secret: boolean): void {
    if (this.#ended) {
      if (secret) answer.fill(0)
      return
    }
    this.#answers.push(answer)
    if (secret) this.#secret = true
    if (!this.#pumping) this.#flush()
  }

  /** Ends the call. What was sent before arrives before. */
  end(code: Status, message = ''): void {
    if (this.#ended) return
    this.#flush()
    this.#ended = true
    clearTimeout(this.#deadline)
    const stream = this.#stream
    if (stream.destroyed || stream.closed) return
    if (!stream.headersSent) {
      refuse(stream, code, message)
      return
    }
    stream.once('wantTrailers', () => {
      stream.sendTrailers({
        'grpc-status': String(code),
        ...(message !== '' && { 'grpc-message': encodedMessage(message) }),
      })
      stopReading(stream)
    })
    // What the client still sends is read and dropped, or its end would never be seen.
    flowAgain(stream)
    stream.end()
  }

  /** Ends the call of a client that may not read any more: what it has not read in a moment is dropped. */
  cut(code: Status, message: string): void {
    this.end(code, message)
    setTimeout(() => this.#stream.close(constants.NGHTTP2_CANCEL), patienceMs).unref()
  }

  #startDeadline(text: string | string[] | undefined): void {
    if (text === undefined) return
    const ms = typeof text === 'string' ? timeoutMs(text) : undefined
    if (ms === undefined) throw new GrpcError(status.internal, 'the grpc-timeout is malformed')
    // A timer of more than 2^31 ms would run at once; 24 days are as good as none.
    if (ms > 2_147_483_647) return
    this.#deadline = setTimeout(() => {
      this.cut(status.deadlineExceeded, 'the deadline of the call has passed')
    }, Math.ceil(ms))
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    try {
      while (this.#open && this.#step());
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#pumping = false
    }
    this.#flush()
    if (!this.#open) return
    if (this.#halfClosed) this.#finish()
    else if (this.#stream.isPaused()) flowAgain(this.#stream)
  }

  get #hasRest(): boolean {
    return this.#frames.partial || this.#pieces.length > 0
  }

  get #open(): boolean {
    return !this.#busy && !this.#full && this.#waiting === undefined && !this.#ended
  }

  /** Handles one message; false when there is none yet. */
  #step(): boolean {
    const length = this.#frames.length()
    if (length === undefined) return this.#takePiece()
    if (!this.#takeShare(length)) return false
    const message = this.#frames.next()
    if (message === undefined) return this.#takePiece()
    this.#share = 0
    const pending = this.#sink?.message(message)
    // Answers to many small messages are written together, yet not without bound.
    if (this.#answers.length >= 64) this.#flush()
    if (pending === undefined) return true
    this.#busy = true
    pending.then(
      () => this.#handled(),
      (error: unknown) => {
        this.#fail(error)
        this.#handled()
      },
    )
    return false
  }

  /** Reads on in the next piece; false when there is none. */
  #takePiece(): boolean {
    const piece = this.#pieces[this.#taken]
    if (piece === undefined) {
      if (this.#taken > 0) {
        this.#pieces.length = 0
        this.#taken = 0
      }
      return false
    }
    this.#taken += 1
    this.#frames.push(piece)
    return true
  }

  #handled(): void {
    this.#busy = false
    this.#movedAt = this.#host.tick
    this.#pump()
  }

  #takeShare(length: number): boolean {
    const share = ByteBudget.share(length)
    if (share === 0 || this.#share > 0) return true
    this.#share = share
    const granted = (): void => this.#granted()
    if (this.#host.budget.take(share, granted)) {
      this.#reserved += share
      return true
    }
    this.#waiting = granted
    return false
  }

  #granted(): void {
    this.#waiting = undefined
    this.#reserved += this.#share
    this.#movedAt = this.#host.tick
    this.#pump()
  }

  #giveBack(bytes: number): void {
    if (bytes === 0) return
    const returned = Math.min(bytes, this.#reserved)
    this.#reserved -= returned
    this.#host.budget.release(returned)
  }

  #flush(): void {
    const answers = this.#answers
    const [first] = answers
    if (first === undefined) return
    this.#answers = []
    const stream = this.#stream
    if (stream.destroyed || stream.closed) {
      if (this.#secret) for (const answer of answers) answer.fill(0)
      return
    }
    if (!stream.headersSent) stream.respond(answerHeaders, { waitForTrailers: true })
    const batch = answers.length === 1 ? first : Buffer.concat(answers)
    const secret = this.#secret
    this.#secret = false
    if (secret && batch !== first) for (const answer of answers) answer.fill(0)
    const held = this.#reserved - this.#share
    const written =
      secret || held > 0
        ? () => {
            if (secret) batch.fill(0)
            this.#giveBack(held)
          }
        : undefined
    if (!stream.write(batch, written)) this.#full = true
  }

  #finish(): void {
    if (this.#hasRest) this.end(status.internal, 'the stream ended within a message')
    else this.#sink?.halfClosed()
  }

  #fail(error: unknown): void {
    if (error instanceof GrpcError) {
      this.end(error.status, error.message)
      return
    }
    this.#host.fault(error)
    this.end(status.internal, 'internal error')
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#ended = true
    clearTimeout(this.#deadline)
    if (this.#waiting !== undefined) this.#host.budget.leave(this.#waiting)
    this.#giveBack(this.#reserved)
    this.#sink?.closed()
    this.#host.left(this)
  }
}
