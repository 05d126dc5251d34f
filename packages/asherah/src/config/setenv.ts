import { argumentError } from '../errors.ts'
import { Findings, kindOf } from './problems.ts'

/** Variables to set; undefined means: to delete. */
export type EnvironmentChanges = ReadonlyMap<string, string | undefined>

/**
 * Reads what `setenv` takes: an object, the JSON text of one, or lines of `KEY=VALUE` with `#` comments and blank lines
 * between them. In an object `null` deletes, and numbers and booleans are written out. In lines a pair of quotes around
 * a value is taken off, `export` before a name is ignored, and nothing is expanded.
 *
 * @throws TypeError when `input` is neither text nor an object.
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong, without any value.
 *
 * @example
 * ```ts
 * parseSetenv('# keys\nSERVICE_NAME=billing\nPRODUCT_ID="shop"')
 * parseSetenv({ SERVICE_NAME: 'billing', POOL: null })
 * ```
 */
export function parseSetenv(input: unknown): EnvironmentChanges {
  const findings = new Findings()
  const changes = changesOf(input, findings)
  findings.throwIfAny()
  return changes
}

function changesOf(input: unknown, findings: Findings): EnvironmentChanges {
  if (typeof input === 'string') {
    return input.trimStart().startsWith('{')
      ? changesOfJson(input, findings)
      : changesOfLines(input, findings)
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input))
    return changesOfObject(input, findings)
  throw argumentError('setenv input', 'an object, its JSON text, or lines of KEY=VALUE', input)
}

function changesOfJson(text: string, findings: Findings): EnvironmentChanges {
  let value: object
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message would show a piece of the text.
    findings.problem('setenv', 'was given text that starts with { but is no JSON')
    return new Map()
  }
  return changesOfObject(value, findings)
}

function changesOfObject(input: object, findings: Findings): EnvironmentChanges {
  const changes = new Map<string, string | undefined>()
  for (const [name, value] of Object.entries(input)) {
    if (!isVariableName(name)) findings.problem(name, 'is no name of a variable')
    else if (value === undefined) continue
    else if (value === null) changes.set(name, undefined)
    else if (typeof value === 'string' && value.includes('\0')) findings.problem(name, 'has a NUL character')
    else if (isScalar(value)) changes.set(name, String(value))
    else findings.problem(name, `must be a string, number, boolean or null, not ${kindOf(value)}`)
  }
  return changes
}

function changesOfLines(text: string, findings: Findings): EnvironmentChanges {
  const changes = new Map<string, string>()
  for (const [index, raw] of text.split(/\r\n|\n|\r/).entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const equals = line.indexOf('=')
    const name = line
      .slice(0, Math.max(equals, 0))
      .replace(/^export\s+/, '')
      .trim()
    // Neither name nor value is shown: a line that is not understood may be a key that lost its first half.
    if (!isVariableName(name)) findings.problem(`line ${index + 1}`, 'is not KEY=VALUE')
    else if (line.includes('\0')) findings.problem(`line ${index + 1}`, 'has a NUL character')
    else changes.set(name, withoutQuotes(line.slice(equals + 1).trim()))
  }
  return changes
}

function withoutQuotes(value: string): string {
  const [, , inner] = /^(["'])(.*)\1$/s.exec(value) ?? []
  return inner ?? value
}

function isVariableName(name: string): boolean {
  return /^[^\s=\0]+$/.test(name)
}

function isScalar(value: unknown): value is string | number | bigint | boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  return typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean'
}
