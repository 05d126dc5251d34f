import { setImmediate as turn } from 'node:timers/promises'
import { type MergedConfig, mergeLayers, type ResolvedConfig, resolveLayers } from 'asherah/admin'
import { ActionLog } from './action-log.ts'
import { CommandError } from './command-error.ts'
import {
  type Environment,
  type Options,
  readSources,
  readSourcesOfFile,
  type Sources,
} from './configuration/sources.ts'
import { Output } from './output.ts'
import type { Progress } from './progress.ts'

/** How long the event loop may get no turn. */
const turnMs = 20

/** The hint of an interruption where what is done shows in itself. */
export const goesOn = 'type the same command again: it goes on where it stopped'

/** Where a command runs. */
export interface CommandHost {
  readonly environment: Environment
  readonly stdin: NodeJS.ReadStream
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
}

/** What every command works with. */
export class CommandContext {
  readonly output: Output
  readonly host: CommandHost
  /** Whether `--yes` was given: without it nothing is changed. */
  readonly confirmed: boolean
  readonly log: ActionLog
  readonly #options: Options
  #lastTurn = performance.now()

  constructor(name: string, options: Options, host: CommandHost) {
    this.host = host
    this.#options = options
    this.confirmed = options['yes'] === true
    this.output = new Output(options['json'] === true, this.confirmed, host.stdout, host.stderr)
    const { log } = options
    this.log = new ActionLog(typeof log === 'string' ? log : 'asherah-actions.log', name)
  }

  /** Aborted when the user interrupts. */
  get signal(): AbortSignal {
    return this.host.signal
  }

  /** Flags, variables and file, unread by the library. */
  sources(): Sources {
    return readSources(this.#options, this.host.environment)
  }

  /** Where each key of the configuration is from. */
  merged(): MergedConfig {
    return mergeLayers(this.sources())
  }

  /** The configuration. Each call resolves it anew, since whoever opens a KMS or a factory with it uses its secrets up. */
  configuration(): ResolvedConfig {
    return resolveLayers(this.sources())
  }

  /** The configuration of another file, without any flag or variable. */
  configurationOf(path: string): ResolvedConfig {
    return resolveLayers(readSourcesOfFile(path))
  }

  /** Does something that changes what exists, between two lines of the log. Never called in a dry run. */
  async act<T>(what: object, doing: () => T | Promise<T>): Promise<T> {
    if (!this.confirmed) throw new TypeError('something was about to be changed in a dry run')
    return this.log.act(what, doing)
  }

  /** A bar on stderr where that is a terminal. */
  progress(label: string, total: number): Progress {
    return this.output.progress(label, total)
  }

  /**
   * Called where stopping leaves nothing half done, with what to type then.
   *
   * @throws CommandError `ERR_INTERRUPTED` when the user has interrupted.
   */
  async checkInterrupted(hint = 'type the same command again'): Promise<void> {
    if (performance.now() - this.#lastTurn > turnMs) {
      // With backends that answer at once, signals and timers would have to wait for the end.
      await turn()
      this.#lastTurn = performance.now()
    }
    if (this.signal.aborted) throw new CommandError('ERR_INTERRUPTED', 'interrupted', hint)
  }
}
