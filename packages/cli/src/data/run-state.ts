import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { CommandError } from '../command-error.ts'
import type { RunIdentity } from './run-identity.ts'
import type { Counts } from './tally.ts'

/** What is kept of a run that is not at its end. */
export interface RunProgress {
  /** What {@link RunIdentity.olderThan} means for the whole of the run; Unix seconds. */
  readonly before?: number
  /** The key up to which all rows are done, as one text. */
  readonly last: string
  readonly counts: Counts
}

/** A file that is there while a run is not at its end, so that the same command goes on where it stopped. */
export class RunState {
  readonly path: string
  readonly #identity: RunIdentity

  constructor(path: string, identity: RunIdentity) {
    this.path = path
    this.#identity = identity
  }

  /** Undefined when no run is under way. @throws CommandError `ERR_CONFLICT` when the file is another run's, `ERR_INPUT` */
  read(): RunProgress | undefined {
    let text: string
    try {
      text = readFileSync(this.path, 'utf8')
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw this.#failed('read', cause)
    }
    const state = parsed(text)
    if (state === undefined) {
      const message = `${this.path} is there, and holds no state of a run`
      throw new CommandError('ERR_INPUT', message, 'move it away, or name another file: --state FILE')
    }
    if (isDeepStrictEqual(state.run, { ...this.#identity })) return state.progress
    throw new CommandError(
      'ERR_CONFLICT',
      `${this.path} is the state of another run, which is not at its end`,
      'type its command again, or name another file: --state FILE',
    )
  }

  /** The file is whole at any moment, and on the disk when this returns. */
  write(progress: RunProgress): void {
    const temporary = `${this.path}.${process.pid}.part`
    try {
      const file = openSync(temporary, 'w', 0o600)
      try {
        writeSync(file, `${JSON.stringify({ run: this.#identity, progress })}\n`)
        fsyncSync(file)
      } finally {
        closeSync(file)
      }
      renameSync(temporary, this.path)
    } catch (cause) {
      throw this.#failed('written', cause)
    }
  }

  /** The run is at its end. */
  remove(): void {
    rmSync(this.path, { force: true })
  }

  #failed(what: string, cause: unknown): CommandError {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException
    const message = `the state of the run cannot be ${what}: ${this.path} (${code})`
    return new CommandError('ERR_INPUT', message, '--state FILE names another one', { cause })
  }
}

function parsed(text: string): { readonly run: unknown; readonly progress: RunProgress } | undefined {
  try {
    const value = JSON.parse(text) as { readonly run?: unknown; readonly progress?: RunProgress } | null
    const { run, progress } = value ?? {}
    return progress === undefined || typeof progress.last !== 'string' ? undefined : { run, progress }
  } catch {
    return undefined
  }
}
