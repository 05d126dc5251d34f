import { ConfigurationError } from 'asherah'
import { type ConfigLayers, mergeLayers, type ResolvedConfig, resolveLayers, schema } from 'asherah/admin'
import { librarySettings, longName } from './serve-flags.ts'

/** The library's configuration as the sidecar was given it. It may hold secrets, which do not show when it is printed. */
export class LibrarySettings {
  readonly #layers: ConfigLayers

  private constructor(layers: ConfigLayers) {
    this.#layers = layers
  }

  /** @throws ConfigurationError `ERR_CONFIG_INVALID`, under the names of the flags. */
  static checked(given: ConfigLayers): LibrarySettings {
    return named(() => {
      const { kms } = mergeLayers(given).values
      const overrides = kms === undefined ? { ...given.overrides, kms: 'aws' } : given.overrides
      const settings = new LibrarySettings({ ...given, overrides })
      settings.resolve().secrets.wipe()
      return settings
    })
  }

  /** In another process, what {@link forWorker} gave in this one. */
  static fromMessage(layers: ConfigLayers): LibrarySettings {
    return new LibrarySettings(layers)
  }

  /** For the channel to a worker, and for nothing else: it holds the secrets. */
  forWorker(): ConfigLayers {
    return this.#layers
  }

  /** Anew at each call: a session factory uses its secrets up. */
  resolve(): ResolvedConfig {
    return resolveLayers(this.#layers)
  }
}

const flagOf: ReadonlyMap<string, { readonly name: string; readonly variable: string }> = new Map(
  librarySettings
    .toReversed()
    .map(({ key = '', flags, environment: [variable = ''] }) => [key, { name: longName(flags), variable }]),
)
/** The library tells of its own variables by their names. */
const flagOfVariable: ReadonlyMap<string, string> = new Map(
  librarySettings.flatMap(({ key = 'clock' }) => schema[key].environment.map((name) => [name, key] as const)),
)
const inText = [...flagOf.keys()].filter((key) => /[A-Z]/.test(key)).toSorted((a, b) => b.length - a.length)
const keysInText = new RegExp(`\\b(${inText.join('|')})\\b`, 'g')

/** Problems of keys as problems of flags, each with what to type. */
function named<T>(action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    throw new ConfigurationError(
      error.problems.map(({ key, message }) => {
        const flag = flagOf.get(key) ?? flagOf.get(flagOfVariable.get(key) ?? '')
        if (flag === undefined) return { key, message }
        if (!flagOf.has(key)) return { key, message: `${message}; type ${flag.name} or set ${flag.variable}` }
        const rest = message
          .slice(key.length)
          .replaceAll(keysInText, (name) => flagOf.get(name)?.name ?? name)
        return { key: flag.name, message: `${flag.name}${rest}; type ${flag.name} or set ${flag.variable}` }
      }),
    )
  }
}
