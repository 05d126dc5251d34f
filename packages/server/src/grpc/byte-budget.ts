/** Messages up to this length are not counted: a stream's own window bounds them. */
const uncountedBytes = 16_384

/**
 * How many bytes of messages the server holds at a time, over all streams. A message is counted whole before its first byte
 * is kept, and until its answer is written, so that those that have their share always come to an end.
 */
export class ByteBudget {
  readonly #waiting: { readonly bytes: number; readonly granted: () => void }[] = []
  #free: number

  /** `bytes` is at least the length of the longest message. */
  constructor(bytes: number) {
    this.#free = bytes
  }

  /** How many of a message's bytes count. */
  static share(length: number): number {
    return length > uncountedBytes ? length : 0
  }

  /** True when they are taken at once; otherwise `granted` is called later, in turn. */
  take(bytes: number, granted: () => void): boolean {
    if (this.#waiting.length === 0 && bytes <= this.#free) {
      this.#free -= bytes
      return true
    }
    this.#waiting.push({ bytes, granted })
    return false
  }

  /** Forgets a turn that was waited for. */
  leave(granted: () => void): void {
    const place = this.#waiting.findIndex((waiting) => waiting.granted === granted)
    if (place >= 0) this.#waiting.splice(place, 1)
    this.#serve()
  }

  release(bytes: number): void {
    this.#free += bytes
    this.#serve()
  }

  #serve(): void {
    for (;;) {
      const [first] = this.#waiting
      if (first === undefined || first.bytes > this.#free) return
      this.#waiting.shift()
      this.#free -= first.bytes
      first.granted()
    }
  }
}
