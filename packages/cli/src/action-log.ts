import { closeSync, constants, fstatSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { CommandError } from './command-error.ts'

/** One line of the log. */
interface Entry {
  readonly time: string
  readonly user: string
  readonly host: string
  readonly pid: number
  readonly command: string
  /** `intends` before the act, on the disk when the act begins; `did` or `failed` after it. */
  readonly event: 'intends' | 'did' | 'failed'
  readonly what: object
}

/**
 * An append-only file of what was done, one JSON object a line. A line that says what is going to be done is on the disk
 * before it is done, so that no act is without its line, whatever ends the process.
 */
export class ActionLog {
  readonly path: string
  readonly #command: string
  #file: number | undefined

  constructor(path: string, command: string) {
    this.path = path
    this.#command = command
  }

  /** Does something that changes what exists. */
  async act<T>(what: object, doing: () => T | Promise<T>): Promise<T> {
    this.#append('intends', what)
    try {
      const result = await doing()
      this.#append('did', what)
      return result
    } catch (error) {
      this.#append('failed', what)
      throw error
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #append(event: Entry['event'], what: object): void {
    const entry: Entry = {
      time: new Date().toISOString(),
      user: userName(),
      host: hostname(),
      pid: process.pid,
      command: this.#command,
      event,
      what,
    }
    try {
      this.#file ??= open(this.path)
      // One write of a whole line: two commands that append at once do not mix their lines.
      writeSync(this.#file, `${JSON.stringify(entry)}\n`)
      fsyncSync(this.#file)
    } catch (cause) {
      if (cause instanceof CommandError) throw cause
      const { code = 'unknown error' } = cause as NodeJS.ErrnoException
      throw new CommandError(
        'ERR_ACTION_LOG',
        `the log of what is done cannot be written: ${this.path} (${code})`,
        '--log FILE names another one',
        { cause },
      )
    }
  }
}

function open(path: string): number {
  const file = openSync(
    path,
    constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NOFOLLOW,
    0o600,
  )
  if (fstatSync(file).isFile()) return file
  closeSync(file)
  throw new CommandError(
    'ERR_ACTION_LOG',
    `the log of what is done must be a regular file, and ${path} is none`,
    '--log FILE names another one',
  )
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the system's list, as containers have it.
    return String(process.getuid?.() ?? 'unknown')
  }
}
