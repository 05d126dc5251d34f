import type { Clock } from '../clock.ts'
import { AsherahError, argumentError } from '../errors.ts'
import { type Environment, settingsFromEnvironment } from './environment.ts'
import { type KmsConfig, resolveKms, type StaticKeyEnvironment } from './kms-settings.ts'
import { type MetastoreConfig, type RegionEnvironment, resolveMetastore } from './metastore-settings.ts'
import { Findings } from './problems.ts'
import { Secrets } from './secrets.ts'
import type { Settings } from './settings.ts'
import { settingsFromObject } from './spellings.ts'

/** The configuration as everything below the edge sees it: checked, complete, frozen, without a secret. */
export interface Config {
  readonly serviceName: string
  readonly productId: string
  /** `''` for none. */
  readonly regionSuffix: string
  readonly recoveryRegionSuffixes: readonly string[]
  readonly metastore: MetastoreConfig
  readonly kms: KmsConfig
  readonly policy: {
    readonly expireAfterSeconds: number
    readonly checkIntervalSeconds: number
    readonly createdPrecisionSeconds: number
  }
  /** Of the module API. */
  readonly sessionCache: {
    readonly enabled: boolean
    readonly maxSize: number
    readonly durationSeconds: number
  }
  readonly memory: {
    readonly ringSize: number
    readonly hotSlots: number
    readonly requireLocked: boolean
    readonly hardenProcess: boolean
  }
  readonly plaintext: { readonly isolated: boolean; readonly canaries: boolean }
  /** Longest time that one call waits for metastore and KMS together, through the bridge or not. */
  readonly callTimeoutMs: number
  /** Of one connection and of one query, for backends reached over a network. */
  readonly limits: { readonly connectTimeoutMs: number; readonly queryTimeoutMs: number }
  readonly verbose: boolean
  readonly clock?: Clock
  /** What the user should be warned of, once a set-up. */
  readonly notices: readonly string[]
}

/** What another thread needs to build the same engine, beside the secrets: plain data. */
export type SerialisableConfig = Omit<Config, 'clock' | 'metastore' | 'kms'> & {
  readonly metastore: Exclude<MetastoreConfig, { kind: 'object' | 'memory' }>
  readonly kms: Exclude<KmsConfig, { kind: 'object' }>
}

/** All that counts of the environment beside an explicit configuration. */
export type AmbientEnvironment = StaticKeyEnvironment & RegionEnvironment

export interface ResolvedConfig {
  readonly config: Config
  /** Beside the configuration rather than in it, so that whoever holds the one need not keep the other. */
  readonly secrets: Secrets
}

/** Names of the backends of ours that this version has. A backend is added here when it is there. */
export const builtIn: readonly string[] = [
  'memory',
  'sqlite',
  'rdbms',
  'dynamodb',
  'static',
  'aws',
  'vault',
  'secrets-manager',
  'object',
  'module',
]

/**
 * Reads a configuration object in any spelling. The environment counts for `STATIC_MASTER_KEY_HEX` alone, and only where
 * `kms` is `static` and `staticMasterKeyHex` is not given.
 *
 * @throws TypeError when `input` is no object.
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong.
 * @throws AsherahError `ERR_NOT_BUILT_IN` when all is right but a backend is not in this version.
 *
 * @example
 * ```ts
 * const { config, secrets } = resolveConfig(
 *   { ServiceName: 'billing', ProductID: 'shop', Metastore: 'memory', KMS: 'static' },
 *   processEnvironment(),
 * )
 * ```
 */
export function resolveConfig(
  input: unknown,
  environment: AmbientEnvironment,
  backends: readonly string[] = builtIn,
): ResolvedConfig {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw argumentError('The configuration', 'an object', input)
  }
  const findings = new Findings()
  return resolve(settingsFromObject(input, findings), environment, backends)
}

/**
 * Reads the configuration from environment variables alone (contract section 5.2).
 *
 * @throws ConfigurationError `ERR_CONFIG_INVALID` with everything that is wrong, by variable.
 * @throws AsherahError `ERR_NOT_BUILT_IN` when all is right but a backend is not in this version.
 */
export function resolveEnvironment(
  environment: Environment,
  backends: readonly string[] = builtIn,
): ResolvedConfig {
  const { AWS_REGION, AWS_DEFAULT_REGION } = environment
  const ambient = { AWS_REGION, AWS_DEFAULT_REGION }
  return resolve(settingsFromEnvironment(environment, new Findings()), ambient, backends)
}

/**
 * The part of a configuration that another thread can build the same engine from, the same metastore and the same KMS;
 * undefined when it cannot. A static key is not in it.
 */
export function serialisable(config: Config): SerialisableConfig | undefined {
  const { clock: _, metastore, kms, ...rest } = config
  if (metastore.kind === 'object' || metastore.kind === 'memory' || kms.kind === 'object') return undefined
  if (metastore.kind === 'sqlite' && metastore.path === ':memory:') return undefined
  if (kms.kind === 'static' && kms.key === 'random') return undefined
  return Object.freeze({ ...rest, metastore, kms })
}

function resolve(
  settings: Settings,
  ambient: AmbientEnvironment,
  backends: readonly string[],
): ResolvedConfig {
  const { findings } = settings
  const serviceName = settings.requiredText('serviceName')
  const productId = settings.requiredText('productId')
  const regionSuffix = resolveRegionSuffix(settings)
  const recoveryRegionSuffixes = resolveRecoverySuffixes(settings)
  const policy = resolvePolicy(settings)
  const metastore = resolveMetastore(settings, ambient)
  const kms = resolveKms(settings, metastore && metastore.config.kind === 'memory', ambient)
  const suffix = (metastore && dynamoDbSuffix(metastore.config)) ?? regionSuffix
  for (const [key, suffixes] of [
    ['regionSuffix', [suffix]],
    ['recoveryRegionSuffixes', recoveryRegionSuffixes],
  ] as const) {
    if (suffixes.some((each) => confusesPartitions({ serviceName, productId }, each)))
      settings.problem(key, confusion)
  }
  const secrets = new Secrets({ ...kms, connection: metastore?.connection })
  try {
    findings.throwIfAny()
    if (
      serviceName === undefined ||
      productId === undefined ||
      metastore === undefined ||
      kms === undefined
    ) {
      throw new TypeError('A part of the configuration is missing without a problem')
    }
    refuseWhatIsNotBuiltIn(metastore.config, kms.config, backends)
    const identity = { serviceName, productId, regionSuffix: suffix, recoveryRegionSuffixes }
    const chosen = { metastore: metastore.config, kms: kms.config }
    return Object.freeze({ config: assemble(settings, identity, chosen, policy), secrets })
  } catch (error) {
    secrets.wipe()
    throw error
  }
}

function assemble(
  settings: Settings,
  identity: Pick<Config, 'serviceName' | 'productId' | 'regionSuffix' | 'recoveryRegionSuffixes'>,
  backends: Pick<Config, 'metastore' | 'kms'>,
  policy: Config['policy'],
): Config {
  const clock = settings.value('clock') as Clock | undefined
  const config: Config = {
    ...identity,
    ...backends,
    policy,
    sessionCache: {
      enabled: settings.flag('enableSessionCaching'),
      maxSize: settings.integer('sessionCacheMaxSize'),
      durationSeconds: settings.integer('sessionCacheDuration'),
    },
    memory: {
      ringSize: settings.integer('ringSize'),
      hotSlots: settings.integer('hotSlots'),
      requireLocked: settings.flag('requireLockedMemory'),
      hardenProcess: settings.flag('hardenProcess'),
    },
    plaintext: {
      isolated: settings.flag('isolatedPlaintext'),
      canaries: settings.flag('enableCanaries'),
    },
    callTimeoutMs: settings.integer('callTimeout'),
    limits: {
      connectTimeoutMs: settings.integer('connectTimeout'),
      queryTimeoutMs: settings.integer('queryTimeout'),
    },
    verbose: settings.flag('verbose'),
    ...(clock !== undefined && { clock }),
    notices: [...settings.findings.notices],
  }
  return frozen(config, [settings.value('metastore'), settings.value('kms'), clock])
}

/** DynamoDB's own suffix wins over the factory's (contract section 1.3). */
function dynamoDbSuffix(metastore: MetastoreConfig): string | undefined {
  if (metastore.kind !== 'dynamodb' || !metastore.regionSuffix) return undefined
  return metastore.signingRegion ?? metastore.region
}

// With `_` neither an id nor the partition gate could tell where the suffix starts.
const suffixShape = /^[^\s_\p{C}]+$/u

/** Whether ids can be told apart with it. */
export function isRegionSuffix(suffix: string): boolean {
  return suffixShape.test(suffix)
}

/** What is wrong with a suffix that {@link confusesPartitions}. */
export const confusion =
  'must not be the one word that serviceName and productId consist of: ids of different partitions would be the same text'

/** Where service, product and suffix are one word, partition `a` with the suffix and partition `a_word` have one id. */
export function confusesPartitions(
  {
    serviceName,
    productId,
  }: { readonly serviceName: string | undefined; readonly productId: string | undefined },
  suffix: string,
): boolean {
  if (serviceName === undefined || productId === undefined || suffix === '') return false
  const names = `_${serviceName}_${productId}`
  return `${names}_${suffix}`.endsWith(names)
}

function resolveRegionSuffix(settings: Settings): string {
  const suffix = settings.value('regionSuffix')
  if (typeof suffix !== 'string' || suffix === '') return ''
  if (!suffixShape.test(suffix)) {
    settings.problem('regionSuffix', 'must not have _, white space or control characters')
  }
  return suffix
}

function resolveRecoverySuffixes(settings: Settings): readonly string[] {
  const suffixes = [...new Set(settings.texts('recoveryRegionSuffixes'))]
  if (!suffixes.every((suffix) => suffixShape.test(suffix))) {
    settings.problem(
      'recoveryRegionSuffixes',
      'must have no empty suffix and none with _, white space or control characters',
    )
  }
  return suffixes
}

function resolvePolicy(settings: Settings): Config['policy'] {
  const expireAfterSeconds = settings.integer('expireAfter')
  const precision = settings.integer('createdPrecision')
  if (precision > expireAfterSeconds) {
    settings.findings.notice(
      `${settings.nameOf('createdPrecision')} (${precision} s) is lowered to ` +
        `${settings.nameOf('expireAfter')} (${expireAfterSeconds} s), so that no key is made expired.`,
    )
  }
  return {
    expireAfterSeconds,
    checkIntervalSeconds: settings.integer('checkInterval'),
    createdPrecisionSeconds: Math.min(precision, expireAfterSeconds),
  }
}

function refuseWhatIsNotBuiltIn(
  metastore: MetastoreConfig,
  kms: KmsConfig,
  backends: readonly string[],
): void {
  const missing = [
    ...(backends.includes(metastore.kind) ? [] : [`the metastore ${metastore.kind}`]),
    ...(backends.includes(kms.kind) ? [] : [`the KMS ${kms.kind}`]),
  ]
  if (missing.length === 0) return
  throw new AsherahError(
    'ERR_NOT_BUILT_IN',
    `The configuration is valid, but this version does not have ${missing.join(' and ')}. It has ` +
      `${backends.filter((name) => name !== 'object' && name !== 'module').join(', ')}; anything else can be given as ` +
      'an object of your own or as the file: URL of a module.',
  )
}

/** Freezes what was made here, all the way down, and leaves alone what is the user's. */
function frozen<T>(value: T, usersOwn: readonly unknown[]): T {
  if (typeof value !== 'object' || value === null || usersOwn.includes(value)) return value
  for (const member of Object.values(value)) frozen(member, usersOwn)
  return Object.freeze(value)
}
