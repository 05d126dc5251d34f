import { existsSync, readFileSync, statSync } from 'node:fs'
import { ConfigurationError } from 'asherah'
import { attributeOfFlag, type ConfigLayers, flagOf, type KeyName, schema } from 'asherah/admin'
import { CommandError } from '../command-error.ts'
import { fileVariableOf, isSecret, textKeys, variablesOf } from './names.ts'
import { parseValue } from './values.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What commander made of the flags, by camelCase name. */
export type Options = Readonly<Record<string, unknown>>

const usualFile = 'asherah.json'

/** The layers of a configuration and the file that one of them is from. */
export interface Sources extends ConfigLayers {
  readonly path: string | undefined
}

/** Reads flags, variables and file. Flags are stronger than variables, and variables than the file. */
export function readSources(options: Options, environment: Environment): Sources {
  const path = pathOf(options, environment)
  const file = path === undefined ? {} : readFile(path)
  const overrides: Partial<Record<KeyName, unknown>> = {}
  for (const key of textKeys) {
    const value = fromVariable(key, environment)
    if (value !== undefined) overrides[key] = value
  }
  Object.assign(overrides, sqliteOf(options['sqlitePath']))
  for (const key of textKeys) {
    const value = fromFlag(key, options)
    if (value !== undefined) overrides[key] = value
  }
  return { overrides, environment, file, path }
}

/** A configuration file alone, for a command that needs a second one; variables and flags are of the first. */
export function readSourcesOfFile(path: string): Sources {
  return { overrides: {}, environment: {}, file: readFile(path), path }
}

function pathOf(options: Options, environment: Environment): string | undefined {
  const { config } = options
  if (typeof config === 'string') return config
  return environment['ASHERAH_CONFIG'] ?? (existsSync(usualFile) ? usualFile : undefined)
}

function readFile(path: string): object {
  let value: unknown
  try {
    value = JSON.parse(readText(path))
  } catch (error) {
    if (error instanceof CommandError) throw error
    // The parser's own message would show a piece of the file.
    throw new CommandError('ERR_CONFIG_FILE', `the configuration file ${path} is no JSON`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new CommandError('ERR_CONFIG_FILE', `the configuration file ${path} holds no JSON object`)
}

function readText(path: string): string {
  try {
    if (statSync(path).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException
    throw new CommandError('ERR_CONFIG_FILE', `${path} cannot be read (${code})`, undefined, { cause })
  }
}

/** A secret's file as editors leave it: with a line break at its end. */
function readSecret(path: string): string {
  return readText(path).replace(/\r?\n$/, '')
}

function fromVariable(key: KeyName, environment: Environment): unknown {
  const name = variablesOf(key).find((candidate) => environment[candidate] !== undefined)
  if (name !== undefined) {
    const parsed = parseValue(environment[name] ?? '', schema[key])
    if ('value' in parsed) return parsed.value
    throw new ConfigurationError([{ key: name, message: `${name} ${parsed.problem}` }])
  }
  const fileVariable = fileVariableOf(key)
  const file = fileVariable === undefined ? undefined : environment[fileVariable]
  return file === undefined ? undefined : readSecret(file)
}

function fromFlag(key: KeyName, options: Options): unknown {
  if (isSecret(key)) {
    const file = options[`${attributeOf(key)}File`]
    return typeof file === 'string' ? readSecret(file) : undefined
  }
  const text = options[attributeOf(key)]
  if (typeof text !== 'string') return undefined
  const parsed = parseValue(text, schema[key])
  if ('value' in parsed) return parsed.value
  throw new CommandError('ERR_USAGE', `--${flagOf(key)} ${parsed.problem}`)
}

/** The name under which commander keeps a flag. */
function attributeOf(key: KeyName): string {
  return attributeOfFlag(flagOf(key))
}

function sqliteOf(path: unknown): Partial<Record<KeyName, unknown>> {
  return typeof path === 'string' ? { metastore: 'sqlite', connectionString: path } : {}
}
