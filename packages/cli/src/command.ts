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

/** A command as the list of commands has it: a line in `command-table.ts`. */
export interface CommandEntry {
  /** As it is typed: `doctor`, `keys rotate`. */
  readonly name: string
  /** No capital, no full stop. */
  readonly summary: string
  /** Its file is read when it is typed: the sidecar shall not hold what only other commands need. */
  readonly load: () => Promise<CommandSpec>
}

/** What a command takes and does: a file in `commands/`. */
export interface CommandSpec {
  /** Whether it takes the flags of the library's configuration; without, it reads its own. */
  readonly configured: boolean
  /** Whether it can destroy something: then it is a dry run without `--yes`, and has `--log`. */
  readonly destructive: boolean
  /** Adds arguments and flags of its own. */
  readonly declare?: (command: Command) => void
  /** Does it. An error that is thrown is told, and decides the exit code; nothing returned means 0. */
  readonly run: (context: CommandContext, input: CommandInput) => Promise<ExitCode | undefined>
}
