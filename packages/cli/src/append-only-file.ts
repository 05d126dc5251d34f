import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { CommandError } from './command-error.ts'

/** A file to which lines are added, each whole and on the disk when {@link add} returns. It is opened with the first one. */
export class AppendOnlyFile {
  readonly path: string
  readonly #what: string
  readonly #hint: string
  #file: number | undefined

  /** @param what for errors, as `the log of what is done`; `hint` says how to have another one. */
  constructor(path: string, what: string, hint: string) {
    this.path = path
    this.#what = what
    this.#hint = hint
  }

  /** @throws CommandError `ERR_ACTION_LOG` */
  add(line: object): void {
    try {
      this.#file ??= this.#open()
      // One write of a whole line: two commands that append at once do not mix their lines.
      writeFileSync(this.#file, `${JSON.stringify(line)}\n`)
      fsyncSync(this.#file)
    } catch (cause) {
      if (cause instanceof CommandError) throw cause
      const { code = 'unknown error' } = cause as NodeJS.ErrnoException
      throw this.#error(`${this.#what} cannot be written: ${this.path} (${code})`, cause)
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }

  #open(): number {
    const { O_APPEND, O_CREAT, O_RDWR, O_NOFOLLOW } = constants
    const file = openSync(this.path, O_APPEND | O_CREAT | O_RDWR | O_NOFOLLOW, 0o600)
    try {
      const status = fstatSync(file)
      if (!status.isFile()) {
        throw this.#error(`${this.#what} must be a regular file, and ${this.path} is none`)
      }
      // A line that was cut short, by a full disk or a crash, must not take the next one with it.
      if (status.size > 0 && !endsLine(file, status.size)) writeFileSync(file, '\n')
      else if (status.size === 0) syncFolder(this.path)
      return file
    } catch (error) {
      closeSync(file)
      throw error
    }
  }

  #error(message: string, cause?: unknown): CommandError {
    return new CommandError('ERR_ACTION_LOG', message, this.#hint, { cause })
  }
}

function endsLine(file: number, size: number): boolean {
  const last = Buffer.alloc(1)
  return readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a
}

/** A new file's name is on the disk only when its folder is. */
function syncFolder(path: string): void {
  const folder = openSync(dirname(path), constants.O_RDONLY)
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
