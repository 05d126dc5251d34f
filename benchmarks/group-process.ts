import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Measurand } from './figure.ts'

/** A process that times one group of cases, a round at a time, and idles in between. */
export class GroupProcess {
  readonly #name: string
  readonly #child: ChildProcess

  private constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
  }

  /** Starts the process and waits until its partitions and records are made. */
  static async start(name: string, roundMs: number): Promise<GroupProcess> {
    const script = join(import.meta.dirname, 'children', 'timed-group.ts')
    const started = new GroupProcess(name, fork(script, [name, String(roundMs)]))
    await started.#message()
    return started
  }

  async round(): Promise<readonly (readonly [Measurand, number])[]> {
    this.#child.send('round')
    return (await this.#message()) as readonly (readonly [Measurand, number])[]
  }

  close(): void {
    if (this.#child.connected) this.#child.disconnect()
  }

  #message(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null, signal: string | null): void => {
        reject(new Error(`the process of the group ${this.#name} ended with ${code ?? signal}`))
      }
      this.#child.once('error', reject)
      this.#child.once('exit', ended)
      this.#child.once('message', (message) => {
        this.#child.off('error', reject)
        this.#child.off('exit', ended)
        resolve(message)
      })
    })
  }
}
