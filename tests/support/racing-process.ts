import { once } from 'node:events'
import { join } from 'node:path'
import type { AsherahConfig } from '../../packages/asherah/src/index.ts'
import { runTool } from './servers/tool.ts'
import { WatchedChild } from './watched-child.ts'

/** What a racing process is started for. */
export type RacingTask =
  | {
      readonly kind: 'race'
      readonly name: string
      readonly config: AsherahConfig
      readonly partitions: readonly string[]
      /** The file that gets a line for each record, once the call has returned it. */
      readonly journal: string
      /** Whether its calls are synchronous ones. */
      readonly synchronous: boolean
    }
  | { readonly kind: 'read'; readonly config: AsherahConfig; readonly journals: readonly string[] }

/** A line of a journal. */
export interface JournalEntry {
  readonly partition: string
  readonly text: string
  readonly record: string
}

export interface RacingVerdict {
  readonly records: number
  /** One line for each record that could not be read. */
  readonly lost: readonly string[]
}

const program = join(import.meta.dirname, 'racing-program.ts')

/** A process that waits for {@link go} and then encrypts until it is killed. */
export class RacingProcess {
  readonly #child: WatchedChild

  private constructor(task: RacingTask & { readonly kind: 'race' }, env: NodeJS.ProcessEnv) {
    this.#child = new WatchedChild(program, [JSON.stringify(task)], env)
  }

  /** Starts one and waits until it is ready to {@link go}. */
  static async start(
    task: RacingTask & { readonly kind: 'race' },
    env: NodeJS.ProcessEnv = {},
  ): Promise<RacingProcess> {
    const racer = new RacingProcess(task, env)
    const [first] = await Promise.race([once(racer.#child.process, 'message'), racer.#child.exit])
    if (first !== 'ready') throw new Error(`a racing process ended before the race: ${racer.#child.errors}`)
    return racer
  }

  go(): void {
    this.#child.process.send('go')
  }

  /** Kills it with SIGKILL; fails when it had ended by itself, which only an error makes it do. */
  async kill(): Promise<void> {
    this.#child.process.kill('SIGKILL')
    const [code, signal] = await this.#child.exit
    if (signal !== 'SIGKILL') throw new Error(`a racing process ended with ${code}: ${this.#child.errors}`)
  }
}

/** Decrypts, in a fresh process, everything that the journals acknowledge. */
export async function readJournals(
  config: AsherahConfig,
  journals: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<RacingVerdict> {
  const task: RacingTask = { kind: 'read', config, journals }
  const output = await runTool(process.execPath, [program, JSON.stringify(task)], {
    env: { ...process.env, ...env },
  })
  return JSON.parse(output) as RacingVerdict
}
