import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** A program of the tests in a process of its own, with a channel for messages. */
export class WatchedChild {
  readonly process: ChildProcess
  readonly exit: Promise<readonly [code: number | null, signal: string | null]>
  #errors = ''

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.process = fork(program, args, {
      env: { ...process.env, ...env },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    this.exit = once(this.process, 'exit') as Promise<[number | null, string | null]>
  }

  /** What it has written to standard error. */
  get errors(): string {
    return this.#errors
  }
}
