import type { Moment } from '../clock.ts'
import type { SerialisableConfig } from '../config/config.ts'
import type { BackendSecrets } from '../config/secrets.ts'
import type { KeyHandle, RingHandle } from '../native/binding.ts'
import type { LogEvent } from '../observability/log.ts'
import type { KeyQuestion } from './key-port.ts'

/** What the bridge's thread needs to build the same engine over the same, process-wide, rings. */
export interface BridgeEngine {
  readonly config: SerialisableConfig
  readonly intermediateKeys: RingHandle
  readonly systemKeys: RingHandle
  /** The static master key, which stays the asker's. */
  readonly masterKey: KeyHandle | undefined
  readonly secrets: BackendSecrets
}

export type BridgeMessage =
  | {
      readonly kind: 'ask'
      readonly engine: BridgeEngine
      readonly question: KeyQuestion
      readonly at: Moment
      /** Where the asker waits; laid out as {@link AnswerBuffer} says. */
      readonly answer: SharedArrayBuffer
    }
  | {
      /** The asker's factory is closed, or was dropped. */
      readonly kind: 'forget'
      readonly intermediateKeys: RingHandle
      /** Where the asker waits until what was built for it has ended; absent where nobody waits. */
      readonly answer?: SharedArrayBuffer
    }

/** What comes back. Errors cross as text; their causes as a name and a message. */
export interface BridgeAnswer {
  readonly error?: {
    readonly code: string
    readonly message: string
    readonly cause?: { name: string; message: string }
  }
  /** What the engine logged meanwhile, for the asker's own hook. */
  readonly events: readonly LogEvent[]
}

const bufferBytes = 65_536
const headerBytes = 8

/** One answer in shared memory: `[0]` 1 when it is there, `[1]` its length in bytes, then JSON. */
export class AnswerBuffer {
  readonly shared: SharedArrayBuffer
  readonly #header: Int32Array

  constructor(shared = new SharedArrayBuffer(bufferBytes)) {
    this.shared = shared
    this.#header = new Int32Array(shared, 0, 2)
  }

  reset(): void {
    Atomics.store(this.#header, 0, 0)
  }

  get answered(): boolean {
    return Atomics.load(this.#header, 0) === 1
  }

  /** Blocks this thread; true when the answer is there. */
  wait(ms: number): boolean {
    return Atomics.wait(this.#header, 0, 0, ms) !== 'timed-out'
  }

  read(): BridgeAnswer {
    const length = Atomics.load(this.#header, 1)
    return JSON.parse(
      Buffer.from(Buffer.from(this.shared, headerBytes, length)).toString('utf8'),
    ) as BridgeAnswer
  }

  write(answer: BridgeAnswer): void {
    let bytes = Buffer.from(JSON.stringify(answer))
    if (bytes.length > bufferBytes - headerBytes)
      bytes = Buffer.from(JSON.stringify({ ...answer, events: [] }))
    Buffer.from(this.shared, headerBytes).set(bytes.subarray(0, bufferBytes - headerBytes))
    Atomics.store(this.#header, 1, bytes.length)
    Atomics.store(this.#header, 0, 1)
    Atomics.notify(this.#header, 0)
  }
}
