import { version } from 'asherah'
import { Command, CommanderError } from 'commander'
import type { CommandSpec } from './command.ts'
import { CommandContext, type CommandHost } from './command-context.ts'
import { CommandError, toldError } from './command-error.ts'
import { declareConfigurationFlags } from './configuration/flags.ts'
import { type ExitCode, exitCode } from './exit-code.ts'

const about = `Checks and runs Asherah: its configuration, its keys, its records and its sidecar.

What can destroy something shows what it would do, and does it with --yes only.`

const configurationHint =
  '\nEvery key of the configuration is a flag and a variable too: asherah configuration'

/**
 * Runs one command line and answers with its exit code. Errors are told on stderr: with `--json` as one line of JSON, else
 * as a sentence and the next thing to type.
 */
export async function runProgram(
  table: readonly CommandSpec[],
  argv: readonly string[],
  host: CommandHost,
): Promise<ExitCode> {
  let ended: ExitCode = exitCode.done
  const program = parent(new Command('asherah'), about).version(version())
  const parents = new Map<string, Command>()
  for (const spec of table) {
    const [first = '', second] = spec.name.split(' ')
    let under = program
    if (second !== undefined) {
      under = parents.get(first) ?? parent(program.command(first), `${first} of this service`)
      parents.set(first, under)
    }
    declare(under.command(second ?? first), spec, host, (code) => {
      ended = code
    })
  }
  for (const command of [program, ...parents.values()]) silence(command, host)
  try {
    await program.parseAsync(argv, { from: 'user' })
    return ended
  } catch (error) {
    return tellError(error, argv, host)
  }
}

function parent(command: Command, description: string): Command {
  return command.description(description).showHelpAfterError(false)
}

function declare(
  command: Command,
  spec: CommandSpec,
  host: CommandHost,
  end: (code: ExitCode) => void,
): void {
  command.description(spec.summary)
  spec.declare?.(command)
  if (spec.destructive) {
    command.option('--yes', 'do it; without, show what would be done')
    command.option('--log <file>', 'where what is done is written down (default: ./asherah-actions.log)')
  }
  command.option('--json', 'answer in JSON, one value a line')
  if (spec.configured) {
    declareConfigurationFlags(command)
    command.addHelpText('after', configurationHint)
  }
  silence(command, host)
  command.action(async () => {
    const options = command.opts()
    const context = new CommandContext(spec.name, options, host)
    try {
      const code = await spec.run(context, {
        args: command.processedArgs as readonly (string | undefined)[],
        options,
      })
      end(code ?? exitCode.done)
    } finally {
      context.log.close()
    }
  })
}

/** Errors are thrown, and told in one place. */
function silence(command: Command, host: CommandHost): void {
  command.exitOverride()
  command.configureOutput({
    writeOut: (text) => void host.stdout.write(text),
    writeErr: () => undefined,
    outputError: () => undefined,
  })
}

function tellError(error: unknown, argv: readonly string[], host: CommandHost): ExitCode {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return exitCode.done
    if (error.code === 'commander.help') {
      host.stderr.write('asherah: no command is named\nhint: asherah --help\n')
      return exitCode.usage
    }
    const message = error.message
      .replace(/^error: /, '')
      // What stands behind an unknown flag may be a secret.
      .replace(/(unknown option '[^'=]*)=.*'/s, "$1'")
      .replaceAll(/\s*\n\s*/g, ' ')
    return tell(new CommandError('ERR_USAGE', message, `${commandOf(argv)} --help`), argv, host)
  }
  return tell(error, argv, host)
}

function tell(error: unknown, argv: readonly string[], host: CommandHost): ExitCode {
  const { exitCode: code, ...told } = toldError(error)
  if (argv.includes('--json')) host.stderr.write(`${JSON.stringify({ error: told })}\n`)
  else {
    const hint = told.hint === undefined ? '' : `hint: ${told.hint}\n`
    host.stderr.write(`asherah: ${told.message} [${told.code}]\n${hint}`)
  }
  return code
}

/** The words before the first flag. */
function commandOf(argv: readonly string[]): string {
  const flag = argv.findIndex((word) => word.startsWith('-'))
  const words = (flag < 0 ? argv : argv.slice(0, flag)).slice(0, argv[0] === 'keys' ? 2 : 1)
  return ['asherah', ...words].join(' ')
}
