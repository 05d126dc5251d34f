import { type ResolvedConfig, resolveConfig } from '../config/config.ts'
import { type Environment, settingsFromEnvironment } from '../config/environment.ts'
import { Findings } from '../config/problems.ts'
import { type KeyName, keyNames } from '../config/schema.ts'
import { settingsFromObject } from '../config/spellings.ts'
import { argumentError } from '../errors.ts'

/** Where a configuration comes from, the strongest first. */
export interface ConfigLayers {
  /** What was typed, by camelCase name. */
  readonly overrides: Readonly<Partial<Record<KeyName, unknown>>>
  /** The library's own variables (contract section 5.2); their defaults for what is not set do not count here. */
  readonly environment: Environment
  /** The content of a file, in any spelling. */
  readonly file: object
}

/** Which layer a key's value is from. */
export type ConfigOrigin = 'override' | 'environment' | 'file'

/** Layers merged into one configuration object. */
export interface MergedConfig {
  readonly values: Readonly<Partial<Record<KeyName, unknown>>>
  readonly origins: ReadonlyMap<KeyName, ConfigOrigin>
}

/**
 * Merges the layers by key, each checked under the names that its user knows.
 *
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong with names, or with variables.
 */
export function mergeLayers({ overrides, environment, file }: ConfigLayers): MergedConfig {
  if (typeof file !== 'object' || file === null || Array.isArray(file)) {
    throw argumentError('The content of the configuration file', 'an object', file)
  }
  const findings = new Findings()
  const values: Partial<Record<KeyName, unknown>> = {}
  const origins = new Map<KeyName, ConfigOrigin>()
  const take = (key: KeyName, value: unknown, origin: ConfigOrigin): void => {
    values[key] = value
    origins.set(key, origin)
  }
  const fromFile = settingsFromObject(file, findings)
  for (const key of keyNames) if (fromFile.isGiven(key)) take(key, fromFile.value(key), 'file')
  // Vault's variables are read only where Vault is the KMS, and that may be said elsewhere.
  const kms = overrides.kms ?? environment['KMS'] ?? values.kms
  const variables = typeof kms === 'string' ? { ...environment, KMS: kms } : environment
  const fromEnvironment = settingsFromEnvironment(variables, findings)
  for (const key of keyNames) {
    if (environment[fromEnvironment.nameOf(key)] === undefined) continue
    if (fromEnvironment.isGiven(key)) take(key, fromEnvironment.value(key), 'environment')
  }
  for (const key of keyNames) {
    const value = overrides[key]
    if (value !== undefined) take(key, value, 'override')
  }
  findings.throwIfAny()
  return { values, origins }
}

/**
 * The configuration that the layers make. Its secrets are to be used once: a session factory, or the opening of a KMS,
 * overwrites the master key.
 *
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong.
 * @throws AsherahError `ERR_NOT_BUILT_IN`.
 *
 * @example
 * ```ts
 * const resolved = resolveLayers({ overrides: { kms: 'aws' }, environment: process.env, file: JSON.parse(text) })
 * const factory = new SessionFactory(resolved)
 * ```
 */
export function resolveLayers(layers: ConfigLayers): ResolvedConfig {
  return resolveConfig(mergeLayers(layers).values, layers.environment)
}
