import { GrpcError, status } from './status.ts'

/** Bytes in front of each message: whether it is compressed, and its length. */
export const prefixBytes = 5

/**
 * Takes length-prefixed messages out of a byte stream whose pieces end anywhere. A message that lies in one piece is a view
 * of it; any other gets memory of its own when its length is known.
 */
export class FrameReader {
  readonly #maxBytes: number
  #chunk: Buffer | undefined
  #at = 0
  readonly #prefix = Buffer.alloc(prefixBytes)
  #prefixFilled = 0
  #length = -1
  #message: Buffer | undefined
  #filled = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** To be called when {@link next} has answered undefined. */
  push(chunk: Buffer): void {
    const rest = this.#chunk?.subarray(this.#at)
    this.#chunk = rest === undefined || rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    this.#at = 0
  }

  /** Whether a message has begun and not ended. */
  get partial(): boolean {
    return this.#prefixFilled > 0 || this.#length >= 0 || this.#left > 0
  }

  /**
   * The length of the message that comes next, or undefined while its prefix is not here.
   *
   * @throws GrpcError for a compressed message or one that is too long.
   */
  length(): number | undefined {
    if (this.#length >= 0) return this.#length
    const chunk = this.#chunk
    if (chunk === undefined) return undefined
    if (this.#prefixFilled === 0 && this.#left >= prefixBytes) {
      this.#begin(chunk, this.#at)
      this.#at += prefixBytes
      return this.#length
    }
    while (this.#prefixFilled < prefixBytes && this.#left > 0) {
      this.#prefix[this.#prefixFilled++] = chunk[this.#at++] ?? 0
    }
    if (this.#prefixFilled < prefixBytes) return undefined
    this.#begin(this.#prefix, 0)
    return this.#length
  }

  /** The next message when all of it is here. */
  next(): Buffer | undefined {
    const length = this.length()
    const chunk = this.#chunk
    if (length === undefined) return undefined
    if (this.#message === undefined && chunk !== undefined && this.#left >= length) {
      const message = chunk.subarray(this.#at, this.#at + length)
      this.#at += length
      this.#finish()
      this.#dropReadChunk()
      return message
    }
    this.#message ??= Buffer.allocUnsafeSlow(length)
    if (chunk !== undefined) {
      const taken = chunk.copy(this.#message, this.#filled, this.#at)
      this.#filled += taken
      this.#at += taken
      this.#dropReadChunk()
    }
    if (this.#filled < length) return undefined
    const message = this.#message
    this.#finish()
    return message
  }

  get #left(): number {
    return this.#chunk === undefined ? 0 : this.#chunk.length - this.#at
  }

  /** A piece is a view of all that was read from the connection with it, which an idle stream must not hold. */
  #dropReadChunk(): void {
    if (this.#left > 0) return
    this.#chunk = undefined
    this.#at = 0
  }

  #begin(from: Buffer, at: number): void {
    const flag = from[at]
    if (flag !== 0) {
      throw new GrpcError(
        status.internal,
        flag === 1
          ? 'a message is marked as compressed, but the call names no grpc-encoding'
          : `a message begins with the byte ${flag}, which is neither 0 nor 1`,
      )
    }
    const length = from.readUInt32BE(at + 1)
    if (length > this.#maxBytes) {
      throw new GrpcError(
        status.resourceExhausted,
        `a message of ${length} bytes is larger than the ${this.#maxBytes} bytes that are taken`,
      )
    }
    this.#length = length
  }

  #finish(): void {
    this.#length = -1
    this.#prefixFilled = 0
    this.#message = undefined
    this.#filled = 0
  }
}
