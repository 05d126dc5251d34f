import { AsherahError } from './errors.ts'

/**
 * Imports an optional peer dependency when the backend that needs it is opened.
 *
 * @param name the package, as in `npm install <name>`.
 * @throws AsherahError `ERR_DRIVER_MISSING` when the package is not installed: the message names the command. What else
 * goes wrong in the package itself is thrown as it is.
 *
 * @example
 * ```ts
 * const { Client } = await importDriver<typeof import('pg')>('pg')
 * ```
 */
export async function importDriver<T>(name: string): Promise<T> {
  try {
    return exportsOf((await import(name)) as Namespace) as T
  } catch (cause) {
    if (!isMissing(name, cause)) throw cause
    throw new AsherahError(
      'ERR_DRIVER_MISSING',
      `The package '${name}' is not installed. Run "npm install ${name}" in the application.`,
      { cause },
    )
  }
}

interface Namespace {
  readonly default?: unknown
}

/** Node finds only some names of a CommonJS package; its `default` is the whole of it. */
function exportsOf(namespace: Namespace): unknown {
  const { default: whole } = namespace
  if ((typeof whole !== 'object' && typeof whole !== 'function') || whole === null) return namespace
  const names = Object.keys(namespace).filter(
    (name) => !['default', 'module.exports', '__esModule'].includes(name),
  )
  return names.every((name) => name in whole) ? whole : namespace
}

/** Whether the error says that this very package was not found, and not one that it needs itself. */
function isMissing(name: string, cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  const { code } = cause as NodeJS.ErrnoException
  if (code !== 'ERR_MODULE_NOT_FOUND' && code !== 'MODULE_NOT_FOUND') return false
  return /^Cannot find (?:package|module) '([^']+)'/.exec(cause.message)?.[1] === name
}
