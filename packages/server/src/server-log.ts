import { type LogEvent, setLogHook } from 'asherah'
import { systemCode } from './errors.ts'

/** Where a sidecar tells what happens. */
export type ServerLog = (event: LogEvent) => void

const target = 'asherah::server'

/** One line an event, for a service manager that adds the time: `warn asherah::server …`. */
export function logTo(stream: { write(text: string): unknown }): ServerLog {
  return ({ level, target: from, message }) => {
    stream.write(`${level} ${from} ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`)
  }
}

/** Has the library write to the same log. */
export function joinLibraryLog(log: ServerLog): void {
  setLogHook(log)
}

/** The server's own events. */
export class Log {
  readonly #log: ServerLog

  constructor(log: ServerLog) {
    this.#log = log
  }

  info(message: string): void {
    this.#log({ level: 'info', target, message })
  }

  warn(message: string): void {
    this.#log({ level: 'warn', target, message })
  }

  /** An error that should not be. Its own text is not shown, since it may hold anything. */
  fault(error: unknown): void {
    const kind = error instanceof Error ? error.name : typeof error
    this.#log({
      level: 'error',
      target,
      message: `a call failed within the server: ${kind} (${systemCode(error)})`,
    })
  }
}
