import { flagOf, type KeyName, schema, variableOf } from 'asherah/admin'
import { type Command, Option } from 'commander'
import { CommandError } from '../command-error.ts'
import { isSecret, textKeys } from './names.ts'

const group = 'Configuration:'

/**
 * Gives a command the flags of the library's configuration, made from its one table. Secrets have a flag that names a file
 * in their place; the flag for the secret itself is there only to say so.
 */
export function declareConfigurationFlags(command: Command): void {
  command.addOption(
    new Option(
      '--config <file>',
      'JSON file with the configuration; ./asherah.json where it is there (ASHERAH_CONFIG)',
    ).helpGroup(group),
  )
  command.addOption(
    new Option('--sqlite-path <file>', 'the same as --metastore sqlite with this file').helpGroup(group),
  )
  for (const key of textKeys) for (const option of optionsOf(key)) command.addOption(option.hideHelp())
}

function optionsOf(key: KeyName): readonly Option[] {
  const name = flagOf(key)
  const { meaning, type } = schema[key]
  if (isSecret(key)) {
    return [refusedFlag(key), new Option(`--${name}-file <file>`, `File with: ${meaning}`)]
  }
  switch (type.kind) {
    case 'flag':
      return [new Option(`--${name} [boolean]`, meaning).preset('true')]
    case 'integer':
      return [new Option(`--${name} <number>`, meaning)]
    case 'choice':
    case 'backend':
      return [new Option(`--${name} <name>`, meaning)]
    case 'map':
      return [new Option(`--${name} <map>`, meaning)]
    default:
      return [new Option(`--${name} <text>`, meaning)]
  }
}

/** The flag of a secret is there only to say so. */
export function refusedFlag(key: KeyName): Option {
  const name = flagOf(key)
  return (
    new Option(`--${name} [secret]`, schema[key].meaning)
      .hideHelp()
      // Without a value the parser is not called; the preset is what it is called with then.
      .preset('')
      .argParser(() => {
        throw new CommandError(
          'ERR_SECRET_FLAG',
          `--${name} is a secret: a command line can be read by every process of this machine`,
          `--${name}-file FILE, the variable ${variableOf(key)}, or "${key}" in the configuration file`,
        )
      })
  )
}
