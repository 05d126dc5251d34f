import { AsherahError } from './errors.ts'

/**
 * Makes a metastore or KMS from a module of the user's: its export `name`, or what its function `factoryName` (or its
 * default export, a value or a function) answers.
 */
export async function importBackend<T>(
  url: string,
  name: string,
  factoryName: string,
  isBackend: (value: unknown) => value is T,
): Promise<T> {
  let exports: Record<string, unknown>
  try {
    exports = (await import(url)) as Record<string, unknown>
  } catch (cause) {
    throw new AsherahError(
      'ERR_CONFIG_INVALID',
      `The module for ${name} could not be imported from ${url}.`,
      { cause },
    )
  }
  const { default: fallback } = exports
  const given = exports[name] ?? exports[factoryName] ?? fallback
  const backend: unknown = typeof given === 'function' ? await (given as () => unknown)() : given
  if (isBackend(backend)) return backend
  throw new AsherahError(
    'ERR_CONFIG_INVALID',
    `The module ${url} makes no ${name}: export one as '${name}', or a function '${factoryName}' that answers with one.`,
  )
}
