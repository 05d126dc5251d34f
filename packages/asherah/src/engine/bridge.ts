import { fs } from '../builtins.ts'
import { type Clock, type Moment, readClock } from '../clock.ts'
import { AsherahError, type AsherahErrorCode } from '../errors.ts'
import type { NativeBinding, RingHandle } from '../native/binding.ts'
import type { Log } from '../observability/log.ts'
import { AnswerBuffer, type BridgeAnswer, type BridgeEngine, type BridgeMessage } from './bridge-protocol.ts'
import type { KeyQuestion } from './key-port.ts'
import type { BlockingPort } from './synchronous-port.ts'
import { timeoutError } from './time-limit.ts'

/** How often a waiting caller looks whether the bridge's thread still lives. */
const lookMs = 25
/** How often one that is closing, and does not block, looks for the answer. */
const closingLookMs = 2

/**
 * Answers questions on the one bridge thread of the process while the caller's thread blocks. The first question starts
 * that thread; it never keeps the process alive, and when it dies the waiting call fails and the next one starts another.
 *
 * The channel's name is random, because a question carries the configuration of the backends.
 */
export class Bridge implements BlockingPort {
  readonly #native: NativeBinding
  readonly #engine: BridgeEngine
  readonly #clock: Clock
  readonly #callTimeoutMs: number
  readonly #log: Log
  #buffer = new AnswerBuffer()
  #used = false
  #lastAnswer: Moment | undefined

  constructor(native: NativeBinding, engine: BridgeEngine, clock: Clock, callTimeoutMs: number, log: Log) {
    this.#native = native
    this.#engine = engine
    this.#clock = clock
    this.#callTimeoutMs = callTimeoutMs
    this.#log = log
  }

  /** When a question was last answered without an error. */
  get lastAnswer(): Moment | undefined {
    return this.#lastAnswer
  }

  askNow(question: KeyQuestion): void {
    const deadline = performance.now() + this.#callTimeoutMs
    const generation = this.#ready(deadline)
    this.#used = true
    const at = readClock(this.#clock)
    this.#buffer.reset()
    post(this.#native, {
      kind: 'ask',
      engine: this.#engine,
      question,
      at,
      answer: this.#buffer.shared,
    })
    while (!this.#buffer.wait(lookMs)) {
      if (this.#native.bridgeGeneration() !== generation) {
        this.#abandon()
        throw new AsherahError(
          'ERR_BRIDGE',
          'The thread that loads keys ended during this call. Try again: a new one starts.',
        )
      }
      if (performance.now() >= deadline) {
        this.#abandon()
        throw timeoutError(this.#callTimeoutMs)
      }
    }
    this.#accept(this.#buffer.read())
    this.#lastAnswer = at
  }

  /**
   * Has the bridge's thread end what it built for this factory, and waits until it has.
   *
   * @throws AsherahError what ending it failed with; `ERR_TIMEOUT` after the time that a call may take
   */
  async close(): Promise<void> {
    const generation = this.#native.bridgeGeneration()
    if (!this.#used || generation === 0) return
    const deadline = performance.now() + this.#callTimeoutMs
    this.#buffer.reset()
    post(this.#native, {
      kind: 'forget',
      intermediateKeys: this.#engine.intermediateKeys,
      answer: this.#buffer.shared,
    })
    while (!this.#buffer.answered) {
      // A thread that ends takes its connections with it.
      if (this.#native.bridgeGeneration() !== generation) return
      if (performance.now() >= deadline) throw timeoutError(this.#callTimeoutMs)
      await new Promise((resolve) => setTimeout(resolve, closingLookMs))
    }
    this.#accept(this.#buffer.read())
  }

  #accept(answer: BridgeAnswer): void {
    for (const event of answer.events) this.#log.forward(event)
    if (answer.error === undefined) return
    const { code, message, cause } = answer.error
    throw new AsherahError(
      code as AsherahErrorCode,
      message,
      cause === undefined
        ? undefined
        : { cause: Object.assign(new Error(cause.message), { name: cause.name }) },
    )
  }

  /** A late answer must not be taken for that of the next question. */
  #abandon(): void {
    this.#buffer = new AnswerBuffer()
  }

  /** Waits until the bridge's thread listens, starting it if there is none; answers its generation, which is never 0. */
  #ready(deadline: number): number {
    const pause = new Int32Array(new SharedArrayBuffer(4))
    for (;;) {
      const generation = this.#native.bridgeGeneration()
      if (generation !== 0) return generation
      const claimed = this.#native.bridgeClaim()
      if (claimed !== 0) startThread(this.#native, claimed)
      if (performance.now() >= deadline) throw timeoutError(this.#callTimeoutMs)
      Atomics.wait(pause, 0, 0, 2)
    }
  }
}

/** Has the bridge's thread, where there is one, end what it built for a factory that nobody has any more. */
export function forgetOnBridge(native: NativeBinding, intermediateKeys: RingHandle): void {
  if (native.bridgeGeneration() !== 0) post(native, { kind: 'forget', intermediateKeys })
}

function post(native: NativeBinding, message: BridgeMessage): void {
  // Opened for each message: an idle channel would collect the questions of other threads.
  const channel = new (threads().BroadcastChannel)(channelName(native))
  channel.postMessage(message)
  channel.close()
}

export function channelName(native: NativeBinding): string {
  return `asherah-bridge-${native.processToken()}`
}

/** Loaded when it is needed: most processes never start a bridge. */
function threads(): typeof import('node:worker_threads') {
  return process.getBuiltinModule('node:worker_threads')
}

function startThread(native: NativeBinding, generation: number): void {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  // The built package keeps code of several entries in a folder beside `engine`.
  const program = new URL(`../engine/bridge-worker.${extension}`, import.meta.url)
  try {
    // Its error event could not be heard while this thread blocks.
    if (!fs.existsSync(program))
      throw new Error('bridge-worker is not beside the library: do not bundle asherah')
    const worker = new (threads().Worker)(program, {
      name: 'asherah-bridge',
      workerData: { generation },
      // None of the application's own flags, preloads or test runners.
      execArgv: [],
    })
    worker.unref()
    // Without a listener an error there would end the process; the waiting call is told by the generation.
    worker.on('error', () => native.bridgeRelease(generation))
    worker.on('exit', () => native.bridgeRelease(generation))
  } catch (cause) {
    native.bridgeRelease(generation)
    throw new AsherahError(
      'ERR_BRIDGE',
      'The thread that loads keys for synchronous calls could not be started.',
      { cause },
    )
  }
}
