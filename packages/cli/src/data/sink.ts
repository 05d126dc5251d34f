import { randomBytes } from 'node:crypto'
import { existsSync, linkSync, renameSync, rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CommandError } from '../command-error.ts'
import { writeOut } from '../standard-output.ts'

/** Where the result goes. Writing waits while the reader is slow, so that nothing piles up; then the data is not needed any more. */
export interface Sink {
  write(data: string | Uint8Array): Promise<void>
  /** All was written: only now is a file there under its name. */
  finish(): Promise<void>
  /** Leaves nothing behind; after {@link finish} it does nothing. */
  discard(): Promise<void>
}

/** A file that appears when it is whole, or stdout without a path. A file that is there already is kept unless `replace`. */
export async function openSink(
  path: string | undefined,
  replace: boolean,
  stdout: NodeJS.WriteStream,
): Promise<Sink> {
  if (path === undefined) return new StandardOutput(stdout)
  if (!replace && existsSync(path)) throw inTheWay(path)
  const temporary = `${path}.${randomBytes(6).toString('hex')}.part`
  try {
    // Plaintext may go into it, so it is for this user alone.
    return new WholeFile(path, temporary, replace, await open(temporary, 'wx', 0o600))
  } catch (cause) {
    throw unwritable(path, cause)
  }
}

class StandardOutput implements Sink {
  readonly #stream: NodeJS.WriteStream

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  write(data: string | Uint8Array): Promise<void> {
    return writeOut(this.#stream, data)
  }

  async finish(): Promise<void> {}

  async discard(): Promise<void> {}
}

class WholeFile implements Sink {
  readonly #path: string
  readonly #temporary: string
  readonly #replace: boolean
  #handle: FileHandle | undefined

  constructor(path: string, temporary: string, replace: boolean, handle: FileHandle) {
    this.#path = path
    this.#temporary = temporary
    this.#replace = replace
    this.#handle = handle
  }

  async write(data: string | Uint8Array): Promise<void> {
    try {
      await this.#handle?.writeFile(data)
    } catch (cause) {
      throw unwritable(this.#path, cause)
    }
  }

  async finish(): Promise<void> {
    try {
      await this.#handle?.sync()
      await this.#handle?.close()
      this.#handle = undefined
      if (this.#replace) renameSync(this.#temporary, this.#path)
      else {
        // Unlike a renaming it fails where another process has made the file meanwhile.
        linkSync(this.#temporary, this.#path)
        rmSync(this.#temporary)
      }
    } catch (cause) {
      await this.discard()
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw inTheWay(this.#path)
      throw unwritable(this.#path, cause)
    }
  }

  async discard(): Promise<void> {
    await this.#handle?.close()
    this.#handle = undefined
    rmSync(this.#temporary, { force: true })
  }
}

function inTheWay(path: string): CommandError {
  return new CommandError('ERR_INPUT', `${path} is there already`, 'name another file, or add --force')
}

function unwritable(path: string, cause: unknown): CommandError {
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException
  return new CommandError('ERR_INPUT', `${path} cannot be written (${code})`, undefined, { cause })
}
