import type { Command } from 'commander'
import type { CommandContext } from './command-context.ts'
import type { Options } from './configuration/sources.ts'
import type { ExitCode } from './exit-code.ts'

/** What was typed after a command's name. */
export interface CommandInput {
  /** In the order of {@link CommandSpec.declare}; an optional one that was left out is undefined. */
  readonly args: readonly (string | undefined)[]
  /** Commander's values by camelCase name, those of the shared flags among them. */
  readonly options: Options
}

/** One command: a file in `commands/`, a line in `command-table.ts`. */
export interface CommandSpec {
  /** As it is typed: `doctor`, `keys rotate`. */
  readonly name: string
  /** For the list of commands: no capital, no full stop. */
  readonly summary: string
  /** Whether it takes the flags of the library's configuration; without, it reads its own. */
  readonly configured: boolean
  /** Whether it can destroy something: then it is a dry run without `--yes`, and has `--log`. */
  readonly destructive: boolean
  /** Adds arguments and flags of its own. */
  readonly declare?: (command: Command) => void
  /** Does it. An error that is thrown is told, and decides the exit code; nothing returned means 0. */
  readonly run: (context: CommandContext, input: CommandInput) => Promise<ExitCode | undefined>
}
