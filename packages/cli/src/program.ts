import { version } from 'asherah'
import { Command, CommanderError } from 'commander'
import type { CommandEntry, CommandSpec } from './command.ts'
import { CommandContext, type CommandHost } from './command-context.ts'
import { CommandError, toldError } from './command-error.ts'
import { declareConfigurationFlags } from './configuration/flags.ts'
import { type ExitCode, exitCode } from './exit-code.ts'
import { printableLines } from './printable.ts'
import { ReaderGone } from './standard-output.ts'

const about = `Checks and runs Asherah: its configuration, its keys, its records and its sidecar.

What can destroy something shows what it would do, and does it with --yes only.`

const configurationHint =
  '\nEvery key of the configuration is a flag and a variable too: asherah configuration'

/**
 * Runs one command line and answers with its exit code. Errors are told on stderr: with `--json` as one line of JSON, else
 * as a sentence and the next thing to type.
 */
export async function runProgram(
  table: readonly CommandEntry[],
  argv: readonly string[],
  host: CommandHost,
): Promise<ExitCode> {
  let ended: ExitCode = exitCode.done
  const program = parent(silence(new Command('asherah'), host), about).version(version())
  const parents = new Map<string, Command>()
  const entries = new Map<Command, CommandEntry>()
  for (const entry of table) {
    const [first = '', second] = entry.name.split(' ')
    let under = program
    if (second !== undefined) {
      under = parents.get(first) ?? parent(program.command(first), `${first} of this service`)
      parents.set(first, under)
    }
    entries.set(under.command(second ?? first).description(entry.summary), entry)
  }
  for (const command of [program, ...parents.values()]) {
    addHelp(command)
    command.hook('preSubcommand', async (_, typed) => {
      const entry = entries.get(typed)
      if (entry === undefined) return
      declare(typed, entry.name, await entry.load(), host, (code) => {
        ended = code
      })
    })
  }
  try {
    await program.parseAsync(argv, { from: 'user' })
    return ended
  } catch (error) {
    if (error instanceof ReaderGone) return exitCode.done
    return tellError(error, argv, host)
  }
}

function parent(command: Command, description: string): Command {
  return command.description(description).showHelpAfterError(false).helpCommand(false)
}

/** `help NAME` as `NAME --help`, since what a command takes is known when it is typed only. */
function addHelp(command: Command): void {
  command
    .command('help [command...]')
    .description('display help for command')
    .action(async (words: readonly string[]) => {
      await command.parseAsync([...words, '--help'], { from: 'user' })
    })
}

function declare(
  command: Command,
  name: string,
  spec: CommandSpec,
  host: CommandHost,
  end: (code: ExitCode) => void,
): void {
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
  command.action(async () => {
    const options = command.opts()
    const context = new CommandContext(name, options, host)
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

/** Errors are thrown, and told in one place: those of the commands below it too, which take this over from it. */
function silence(command: Command, host: CommandHost): Command {
  return command.exitOverride().configureOutput({
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
    const typed = commandOf(argv)
    const known = error.code === 'commander.unknownCommand' ? typed.slice(0, -1) : typed
    return tell(new CommandError('ERR_USAGE', message, [...known, '--help'].join(' ')), argv, host)
  }
  return tell(error, argv, host)
}

function tell(error: unknown, argv: readonly string[], host: CommandHost): ExitCode {
  const { exitCode: code, ...told } = toldError(error)
  if (argv.includes('--json')) host.stderr.write(`${JSON.stringify({ error: told })}\n`)
  else {
    const hint = told.hint === undefined ? '' : `hint: ${told.hint}\n`
    host.stderr.write(`asherah: ${printableLines(told.message)} [${told.code}]\n${hint}`)
  }
  return code
}

/** The words before the first flag, as far as they name a command. */
function commandOf(argv: readonly string[]): readonly string[] {
  const flag = argv.findIndex((word) => word.startsWith('-'))
  const words = flag < 0 ? argv : argv.slice(0, flag)
  return ['asherah', ...words.slice(0, argv[0] === 'keys' ? 2 : 1)]
}
