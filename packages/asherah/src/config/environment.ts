import { type Findings, kindOf } from './problems.ts'
import { foreignVariables, type KeyName, type KeyType, keyNames, schema } from './schema.ts'
import type { EnvironmentChanges } from './setenv.ts'
import { type Given, Settings } from './settings.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The variables of this process. This file is the only one that touches `process.env`. */
export function processEnvironment(): Environment {
  return process.env
}

/** Does to the variables of this process what `setenv` was asked for. */
export function applyToProcessEnvironment(changes: EnvironmentChanges): void {
  for (const [name, value] of changes) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

/** In the order in which they count, whatever `Metastore` says (contract section 5.2). */
const metastoreVariables = [
  { variable: 'SQLITE_PATH', metastore: 'sqlite', dialect: undefined },
  { variable: 'DDB_TABLE', metastore: 'dynamodb', dialect: undefined },
  { variable: 'POSTGRES_URL', metastore: 'rdbms', dialect: 'postgres' },
  { variable: 'MYSQL_URL', metastore: 'rdbms', dialect: 'mysql' },
] as const

/** Reads the variables of contract section 5.2 and those of our own, and nothing else. */
export function settingsFromEnvironment(environment: Environment, findings: Findings): Settings {
  const given = new Map<KeyName, Given>(metastoreFrom(environment, findings))
  const broken = new Set<KeyName>()
  for (const key of keyNames) {
    if (given.has(key) || !counts(key, environment)) continue
    const { environment: names, environmentDefault, type } = schema[key]
    const label = names.find((name) => environment[name] !== undefined)
    const text = label === undefined ? undefined : environment[label]
    if (label === undefined || text === undefined) {
      if (environmentDefault !== undefined) given.set(key, { value: environmentDefault, label: names.join() })
      continue
    }
    const parsed = parse(text, type)
    if ('problem' in parsed) {
      findings.problem(label, parsed.problem)
      broken.add(key)
    } else {
      given.set(key, { value: parsed.value, label })
    }
  }
  noticeForeignVariables(environment, findings)
  return new Settings({
    origin: 'environment',
    given,
    broken,
    nameOf: (key) => variableOf(key, environment),
    findings,
  })
}

/** Which metastore the variables ask for, and where it is. */
function metastoreFrom(environment: Environment, findings: Findings): Map<KeyName, Given> {
  const given = new Map<KeyName, Given>()
  const [chosen, ...others] = metastoreVariables.filter(({ variable }) => environment[variable] !== undefined)
  if (chosen === undefined) return given
  const { variable, metastore, dialect } = chosen
  const overridden = others.map((other) => other.variable as string)
  const asked = environment['Metastore']
  if (asked !== undefined && !asked.toLowerCase().endsWith(metastore)) overridden.push('Metastore')
  if (overridden.length > 0) {
    findings.notice(
      `${variable} is set, so ${overridden.join(', ')} ${overridden.length > 1 ? 'have' : 'has'} no effect.`,
    )
  }
  given.set('metastore', { value: metastore, label: variable })
  if (metastore !== 'dynamodb')
    given.set('connectionString', { value: environment[variable], label: variable })
  if (dialect !== undefined) given.set('sqlMetastoreDbType', { value: dialect, label: variable })
  return given
}

/** What has no effect here is not looked at, and Vault's own variables only where Vault is used. */
function counts(key: KeyName, environment: Environment): boolean {
  if (key === 'connectionString' || schema[key].group === 'without effect') return false
  return !key.startsWith('vault') || usesVault(environment)
}

function usesVault(environment: Environment): boolean {
  return /^vault(?:-transit)?$/i.test(environment['KMS'] ?? '')
}

function parse(text: string, type: KeyType): { readonly value: unknown } | { readonly problem: string } {
  switch (type.kind) {
    case 'flag':
      return parseFlag(text)
    case 'integer':
      if (/^[+-]?\d{1,15}$/.test(text.trim())) return { value: Number(text) }
      return { problem: `must be a whole number of ${type.unit}` }
    case 'texts':
      return {
        value: text
          .split(',')
          .map((item) => item.trim())
          .filter((item) => item !== ''),
      }
    case 'map':
      return parseMap(text)
    default:
      return { value: text }
  }
}

function parseFlag(text: string): { readonly value: boolean } | { readonly problem: string } {
  switch (text.trim().toLowerCase()) {
    case '1':
    case 'true':
    case 'yes':
    case 'on':
      return { value: true }
    case '0':
    case 'false':
    case 'no':
    case 'off':
      return { value: false }
    default:
      return { problem: 'must be true or false (or 1, yes, on, 0, no, off)' }
  }
}

function parseMap(text: string): { readonly value: object } | { readonly problem: string } {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message would show a piece of the text.
    return { problem: 'must be a JSON object, such as {"us-west-2":"arn:aws:kms:…"}; it is no JSON' }
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { value }
  return { problem: `must be a JSON object, not ${kindOf(value)}` }
}

function noticeForeignVariables(environment: Environment, findings: Findings): void {
  for (const { name, meaning, notice } of foreignVariables) {
    const text = environment[name]
    if (text === undefined || notice === 'never') continue
    if (name.startsWith('VAULT_') && !usesVault(environment)) continue
    const flag = parseFlag(text)
    if (notice !== 'set' && !('value' in flag && flag.value === (notice === 'on'))) continue
    findings.notice(`${name} has no effect here. ${meaning}`)
  }
}

function variableOf(key: KeyName, environment: Environment): string {
  if (key !== 'connectionString') return schema[key].environment[0] ?? key
  return /sqlite$/i.test(environment['Metastore'] ?? '') ? 'SQLITE_PATH' : 'POSTGRES_URL or MYSQL_URL'
}
