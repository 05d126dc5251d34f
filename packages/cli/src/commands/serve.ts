import { once } from 'node:events'
import { ConfigurationError } from 'asherah'
import { flagOf } from 'asherah/admin'
import {
  logTo,
  longName,
  readServeSettings,
  type ServeFlag,
  type ServerLog,
  type ServeSettings,
  serve,
  serveFlags,
} from 'asherah-server'
import { type Command, Option } from 'commander'
import type { CommandSpec } from '../command.ts'
import { HintedError } from '../command-error.ts'
import { refusedFlag } from '../configuration/flags.ts'
import { isSecret, textKeys } from '../configuration/names.ts'
import type { Environment, Options } from '../configuration/sources.ts'

/** Runs the gRPC sidecar until SIGTERM or SIGINT. It reads flags, variables and file by itself. */
export const serveCommand: CommandSpec = {
  configured: false,
  destructive: false,
  declare(command) {
    for (const flag of serveFlags) declareFlag(command, flag)
    const declared = new Set(command.options.map(({ long }) => long))
    for (const key of textKeys.filter(isSecret)) {
      if (!declared.has(`--${flagOf(key)}`)) command.addOption(refusedFlag(key))
    }
  },
  async run({ host, signal }, { options }) {
    const log: ServerLog =
      options['json'] === true
        ? (event) => void host.stderr.write(`${JSON.stringify(event)}\n`)
        : logTo(host.stderr)
    const sidecar = await serve(settingsOf(options, host.environment), { log })
    if (!signal.aborted) await once(signal, 'abort')
    await sidecar.close()
    return undefined
  },
}

/** What `doctor` looks at is the library's configuration, not the server's flags. */
function settingsOf(options: Options, environment: Environment): ServeSettings {
  try {
    return readServeSettings(options, environment)
  } catch (error) {
    throw error instanceof ConfigurationError ? new HintedError(error, 'asherah serve --help') : error
  }
}

function declareFlag(
  command: Command,
  { flags, aliases, description, environment, kind, default: value }: ServeFlag,
): void {
  const shown = value === undefined ? '' : ` (default: ${value})`
  for (const [index, name] of [flags, ...aliases].entries()) {
    const option = new Option(name, `${description}${shown} [${environment.join(', ')}]`)
    if (kind === 'boolean') option.preset('true')
    command.addOption(index === 0 ? option : option.hideHelp().helpGroup(longName(flags)))
  }
}
