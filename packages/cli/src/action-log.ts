import { hostname, userInfo } from 'node:os'
import { AppendOnlyFile } from './append-only-file.ts'

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
  readonly #file: AppendOnlyFile
  readonly #command: string

  constructor(path: string, command: string) {
    this.#file = new AppendOnlyFile(path, 'the log of what is done', '--log FILE names another one')
    this.#command = command
  }

  /**
   * Does something that changes what exists.
   *
   * @throws CommandError `ERR_ACTION_LOG`: when the first line cannot be written, and nothing was done; when the last one
   * cannot, and it was.
   */
  async act<T>(what: object, doing: () => T | Promise<T>): Promise<T> {
    this.#append('intends', what)
    let result: T
    try {
      result = await doing()
    } catch (error) {
      try {
        this.#append('failed', what)
      } catch {
        // What was intended is written down; why it failed is what has to be told.
      }
      throw error
    }
    this.#append('did', what)
    return result
  }

  close(): void {
    this.#file.close()
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
    this.#file.add(entry)
  }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A user id without an entry in the system's list, as containers have it.
    return String(process.getuid?.() ?? 'unknown')
  }
}
