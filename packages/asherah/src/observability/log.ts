import { AsherahError } from '../errors.ts'
import { HookQueue } from './hook-queue.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** One event for the log hook. Never holds key material, plaintext or a password; debug and trace may name partitions. */
export interface LogEvent {
  readonly level: LogLevel
  readonly message: string
  /** Which part of the library speaks, such as `asherah::keys`. */
  readonly target: string
}

const queue = new HookQueue<LogEvent>('log')

/** Installs the log hook of this thread, or removes it. */
export function installLogHook(hook: ((event: LogEvent) => void) | undefined): void {
  queue.set(hook)
}

/** Where one part of the library writes its log. Warnings without a hook go to `process.emitWarning`. */
export class Log {
  readonly #target: string
  readonly #verbose: boolean
  readonly #toldAt = new Map<string, number>()

  constructor(target: string, verbose: boolean) {
    this.#target = target
    this.#verbose = verbose
  }

  /** Only with `verbose`; the message is made only when somebody listens. */
  debug(message: () => string): void {
    if (this.#verbose && queue.active) this.#emit('debug', message())
  }

  info(message: string): void {
    this.#emit('info', message)
  }

  warn(message: string): void {
    this.#emit('warn', message)
  }

  error(message: string): void {
    this.#emit('error', message)
  }

  /** A warning about something that goes on: told at most once a minute for each message. */
  warnOnceAMinute(message: string, error: unknown): void {
    const now = performance.now()
    if (now - (this.#toldAt.get(message) ?? Number.NEGATIVE_INFINITY) < 60_000) return
    this.#toldAt.set(message, now)
    this.#emit('warn', `${message}: ${reason(error)}`)
  }

  /** An event of the bridge's thread, for this thread's hook. */
  forward(event: LogEvent): void {
    if (queue.active) queue.emit(event)
    else if (event.level === 'warn' || event.level === 'error')
      process.emitWarning(event.message, 'AsherahWarning')
  }

  #emit(level: LogLevel, message: string): void {
    this.forward({ level, message, target: this.#target })
  }
}

// What another library threw is not shown: its text may hold anything.
function reason(error: unknown): string {
  if (error instanceof AsherahError) {
    // That message names the row, and so the partition.
    return error.code === 'ERR_METASTORE_ROW_MALFORMED' ? error.code : `${error.code} ${error.message}`
  }
  return error instanceof Error ? error.name : typeof error
}
