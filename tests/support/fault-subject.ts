import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AsherahConfig } from '../../packages/asherah/src/index.ts'
import { WatchedChild } from './watched-child.ts'

/** A call of a session. */
export interface SubjectCall {
  readonly kind: 'encrypt' | 'decrypt'
  readonly partition: string
  /** For `decrypt`: what is to be decrypted. */
  readonly record?: string
  readonly synchronous: boolean
  /**
   * The factory that is kept for the life of the process; or one that is made for this call and closed after it, with no
   * key in memory; or such a one for a service that has no keys at all.
   */
  readonly factory: 'lasting' | 'fresh' | 'new service'
}

/** What became of a call. */
export interface SubjectOutcome {
  /** A record, or the decrypted text. */
  readonly value?: string
  /** Of an `AsherahError`. */
  readonly code?: string
  /** Anything else that was thrown, or what an `AsherahError` said. */
  readonly error?: string
  readonly ms: number
}

export type SubjectCommand =
  | { readonly kind: 'open'; readonly config: AsherahConfig }
  /** Made at once; synchronous ones one after the other, in their turn. */
  | { readonly kind: 'call'; readonly calls: readonly SubjectCall[] }
  /** Moves both clocks of every factory. */
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'close' }

/** What keeps the process alive once it has closed everything, as `process.getActiveResourcesInfo()` names it. */
export type ActiveResources = readonly string[]

/** Each of a command's calls has limits of its own, far below. */
const answerLimitMs = 30_000

/** A process that uses the library while something between it and its backend is at fault. */
export class FaultSubject {
  readonly #child: WatchedChild

  private constructor(env: NodeJS.ProcessEnv) {
    this.#child = new WatchedChild(join(import.meta.dirname, 'fault-subject-program.ts'), [], env)
  }

  static async start(config: AsherahConfig, env: NodeJS.ProcessEnv): Promise<FaultSubject> {
    const subject = new FaultSubject(env)
    await subject.#ask({ kind: 'open', config })
    return subject
  }

  async call(...calls: readonly SubjectCall[]): Promise<readonly SubjectOutcome[]> {
    return (await this.#ask({ kind: 'call', calls })) as readonly SubjectOutcome[]
  }

  async advance(ms: number): Promise<void> {
    await this.#ask({ kind: 'advance', ms })
  }

  /** Closes every factory; the process stays. */
  async close(): Promise<ActiveResources> {
    return (await this.#ask({ kind: 'close' })) as ActiveResources
  }

  /** Lets go of the process, which must end by itself now; fails when it does not within `limitMs`, or ends ill. */
  async end(limitMs: number): Promise<void> {
    this.#child.process.disconnect()
    const timer = setTimeout(() => this.#child.process.kill('SIGKILL'), limitMs)
    const [code, signal] = await this.#child.exit
    clearTimeout(timer)
    if (code !== 0) throw new Error(`the process ended with ${code ?? signal}: ${this.#child.errors}`)
  }

  kill(): void {
    this.#child.process.kill('SIGKILL')
  }

  async #ask(command: SubjectCommand): Promise<unknown> {
    const answer = once(this.#child.process, 'message')
    this.#child.process.send(command)
    const late = sleep(answerLimitMs, undefined, { ref: false }).then(() => 'did not answer')
    const first = await Promise.race([answer, late, this.#child.exit.then(() => 'ended')])
    if (typeof first === 'string')
      throw new Error(`the process ${first} at ${JSON.stringify(command)}: ${this.#child.errors}`)
    return first[0]
  }
}
