import { flagOf, type KeyName, schema, variableOf } from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import { isSecret, textKeys } from '../configuration/names.ts'

/** Lists the keys of the configuration with their flags and variables. */
export const configurationCommand: CommandSpec = {
  configured: false,
  destructive: false,
  async run({ output }) {
    for (const key of textKeys) {
      const { meaning, default: fallback, appliesTo } = schema[key]
      const names = { key, flag: `--${flagNameOf(key)}`, variable: variableOf(key) }
      await output.tell(
        { ...names, meaning, ...(fallback !== undefined && { default: fallback }) },
        () =>
          `${key}\n  ${names.flag}, ${names.variable}\n  ${meaning}` +
          (appliesTo === undefined ? '' : ` For ${appliesTo}.`) +
          (fallback === undefined ? '' : ` Default ${fallback}.`),
      )
    }
    return undefined
  },
}

function flagNameOf(key: KeyName): string {
  return isSecret(key) ? `${flagOf(key)}-file FILE` : flagOf(key)
}
