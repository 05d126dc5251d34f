import { fileURLToPath } from 'node:url'
import { nearest } from './nearest.ts'
import { kindOf } from './problems.ts'
import type { KeySpec, KeyType } from './schema.ts'

/** What is wrong with a value, as the rest of a sentence that starts with its key; undefined when nothing is. */
export function problemOf(value: unknown, spec: KeySpec): string | undefined {
  const { type } = spec
  switch (type.kind) {
    case 'text':
    case 'secret':
      return problemOfText(value)
    case 'flag':
      return typeof value === 'boolean' ? undefined : `must be true or false, not ${kindOf(value)}`
    case 'integer':
      return problemOfInteger(value, type, spec.default)
    case 'choice':
      return problemOfChoice(value, type.names)
    case 'texts':
      return problemOfTexts(value)
    case 'map':
      return problemOfMap(value)
    case 'backend':
      return problemOfBackend(value, type.names, type.methods)
    case 'clock':
      return problemOfClock(value)
  }
}

/** Whether a text asks for a module rather than for one of our backends. */
export function isModuleUrl(value: unknown): value is string | URL {
  return value instanceof URL || (typeof value === 'string' && /^file:/i.test(value))
}

function problemOfText(value: unknown): string | undefined {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`
  if (/\p{Surrogate}/u.test(value)) return 'has half of a surrogate pair, which is no text'
  return value.includes('\0') ? 'has a NUL character' : undefined
}

function problemOfInteger(
  value: unknown,
  type: KeyType & { kind: 'integer' },
  fallback: KeySpec['default'],
): string | undefined {
  const kind = `a whole number of ${type.unit}`
  if (typeof value !== 'number') return `must be ${kind}, not ${kindOf(value)}`
  if (!Number.isInteger(value)) return `must be ${kind}, not ${value}`
  if (value < type.min) {
    return `is ${value}; the smallest value that makes sense is ${type.min} (${type.unit}), the default ${fallback}`
  }
  return value > type.max ? `is ${value}; the largest value is ${type.max} (${type.unit})` : undefined
}

function problemOfChoice(value: unknown, names: readonly string[]): string | undefined {
  if (typeof value !== 'string') return `must be a string, not ${kindOf(value)}`
  return names.includes(value.toLowerCase()) ? undefined : unknownName(value, names)
}

function problemOfTexts(value: unknown): string | undefined {
  if (!Array.isArray(value)) return `must be a list of strings, not ${kindOf(value)}`
  const wrong = value.findIndex((item) => problemOfText(item) !== undefined)
  return wrong < 0 ? undefined : `has at position ${wrong + 1} what ${problemOfText(value[wrong])}`
}

function problemOfMap(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `must be an object whose members are strings, not ${kindOf(value)}`
  }
  for (const member of Object.values(value)) {
    const problem = problemOfText(member)
    if (problem !== undefined) return `has a member that ${problem}`
  }
  return undefined
}

function problemOfBackend(
  value: unknown,
  names: readonly string[],
  methods: readonly string[],
): string | undefined {
  if (isModuleUrl(value)) return problemOfModuleUrl(value)
  if (typeof value === 'string') {
    return names.includes(value.toLowerCase()) ? undefined : unknownName(value, names)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return `must be a name (${names.join(', ')}), an object with ${listed(methods)}, or a file: URL, not ${kindOf(value)}`
  }
  const missing = methods.filter((method) => typeof Reflect.get(value, method) !== 'function')
  return missing.length === 0 ? undefined : `is an object without the function ${listed(missing)}`
}

function problemOfModuleUrl(value: string | URL): string | undefined {
  if (typeof value === 'string' && !/^file:\/\//i.test(value)) {
    return 'is no absolute URL: use import.meta.resolve() or new URL("./module.js", import.meta.url)'
  }
  if (!URL.canParse(String(value))) return 'is no valid URL'
  const url = new URL(value)
  if (url.protocol !== 'file:') return 'must be a file: URL; code from elsewhere is not run'
  try {
    fileURLToPath(url)
  } catch {
    return 'is a file: URL that names no file of this machine'
  }
  return undefined
}

function problemOfClock(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) {
    return `must be an object with now and monotonic, not ${kindOf(value)}`
  }
  const missing = ['now', 'monotonic'].filter((method) => typeof Reflect.get(value, method) !== 'function')
  return missing.length === 0 ? undefined : `is an object without the function ${listed(missing)}`
}

// What is no plain word may be a connection string with its password, given under the wrong key.
function unknownName(value: string, names: readonly string[]): string {
  const list = names.join(', ')
  if (!/^[a-z][a-z0-9_-]{0,23}$/i.test(value)) return `must be one of ${list}`
  return `must be one of ${list}, not ${value}; the nearest one is ${nearest(value, names)}`
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}
