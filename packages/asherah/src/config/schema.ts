import type { AsherahConfig } from './asherah-config.ts'

/** The name of a key in its canonical spelling. */
export type KeyName = keyof AsherahConfig

export type KeyType =
  | { readonly kind: 'text' }
  /** Text that never appears in a message. */
  | { readonly kind: 'secret' }
  | { readonly kind: 'flag' }
  | { readonly kind: 'integer'; readonly unit: string; readonly min: number; readonly max: number }
  | { readonly kind: 'choice'; readonly names: readonly string[] }
  | { readonly kind: 'texts' }
  /** Names to texts. */
  | { readonly kind: 'map' }
  /** A name of ours, a user's object with these methods, or a `file:` URL of a module that makes one. */
  | { readonly kind: 'backend'; readonly names: readonly string[]; readonly methods: readonly string[] }
  | { readonly kind: 'clock' }

export type KeyGroup =
  | 'identity'
  | 'metastore'
  | 'kms'
  | 'policy'
  | 'cache'
  | 'memory'
  | 'hooks'
  | 'without effect'

/** Everything that is to be known of one key; `docs/configuration.md` is made from these. */
export interface KeySpec {
  /** PascalCase as the canonical implementations write it (contract section 5.1), or as they would. */
  readonly canonical: string
  /** Other names of the same key, in camelCase. */
  readonly aliases?: readonly string[]
  /** Read by `SessionFactory.fromEnv()` only; the first one that is set counts. */
  readonly environment: readonly string[]
  /** What `fromEnv()` takes when the variable is not set and the key is required otherwise. */
  readonly environmentDefault?: string
  readonly type: KeyType
  readonly required?: true
  readonly default?: string | number | boolean
  readonly group: KeyGroup
  /** The backends for which it counts; absent: for all. */
  readonly appliesTo?: string
  /** One sentence. */
  readonly meaning: string
}

const text = { kind: 'text' } as const
const secret = { kind: 'secret' } as const
const flag = { kind: 'flag' } as const

/** A hundred years: far enough, and small enough that no date overflows. */
const mostSeconds = 3_155_760_000

function seconds(min: 0 | 1) {
  return { kind: 'integer', unit: 'seconds', min, max: mostSeconds } as const
}

function count(unit: string, min: number, max: number) {
  return { kind: 'integer', unit, min, max } as const
}

export const metastoreNames = [
  'memory',
  'sqlite',
  'rdbms',
  'dynamodb',
  'test-debug-memory',
  'test-debug-sqlite',
] as const

/** Those of some names that are not for tests alone, for who has given none. */
export function offered(names: readonly string[]): readonly string[] {
  return names.filter((name) => !name.startsWith('test-debug-'))
}

export const kmsNames = [
  'static',
  'aws',
  'secrets-manager',
  'vault',
  'vault-transit',
  'test-debug-static',
] as const

/** The one table of every key, its spellings, type, unit, limits and default. */
export const schema: Readonly<Record<KeyName, KeySpec>> = {
  serviceName: {
    canonical: 'ServiceName',
    environment: ['SERVICE_NAME'],
    environmentDefault: 'service',
    type: text,
    required: true,
    group: 'identity',
    meaning: 'The service whose keys these are; part of every key id, so it can never be changed.',
  },
  productId: {
    canonical: 'ProductID',
    environment: ['PRODUCT_ID'],
    environmentDefault: 'product',
    type: text,
    required: true,
    group: 'identity',
    meaning: 'The product that the service belongs to; part of every key id, so it can never be changed.',
  },
  regionSuffix: {
    canonical: 'RegionSuffix',
    environment: ['REGION_SUFFIX'],
    type: text,
    group: 'identity',
    meaning:
      'Appended to the ids of newly written keys, on any metastore; no `_`, no white space, and not the word that service and product share where they are one. Empty means none.',
  },
  recoveryRegionSuffixes: {
    canonical: 'RecoveryRegionSuffixes',
    environment: ['RECOVERY_REGION_SUFFIXES'],
    type: { kind: 'texts' },
    group: 'identity',
    meaning:
      'Suffixes of other regions whose keys may be read when one is missing here; one exact load for each, never a write.',
  },

  metastore: {
    canonical: 'Metastore',
    environment: ['Metastore'],
    environmentDefault: 'memory',
    type: { kind: 'backend', names: metastoreNames, methods: ['load', 'loadLatest', 'store'] },
    required: true,
    group: 'metastore',
    meaning: 'Where wrapped keys rest.',
  },
  connectionString: {
    canonical: 'ConnectionString',
    environment: ['SQLITE_PATH', 'POSTGRES_URL', 'MYSQL_URL'],
    type: secret,
    group: 'metastore',
    appliesTo: 'metastore `sqlite`, `rdbms`',
    meaning: 'The path of the SQLite file, or where the database is and who signs in; required for both.',
  },
  sqlMetastoreDbType: {
    canonical: 'SQLMetastoreDBType',
    environment: [],
    type: { kind: 'choice', names: ['mysql', 'postgres'] },
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning: 'The kind of database, used only when the form of `connectionString` does not tell.',
  },
  mysqlTlsMode: {
    canonical: 'MysqlTlsMode',
    environment: ['MYSQL_TLS_MODE'],
    type: text,
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning:
      '`false`: no TLS; `skip-verify`: TLS without any check; anything else: verified TLS. The same as `tls` in the connection string.',
  },
  replicaReadConsistency: {
    canonical: 'ReplicaReadConsistency',
    environment: ['REPLICA_READ_CONSISTENCY'],
    type: { kind: 'choice', names: ['eventual', 'global', 'session'] },
    group: 'metastore',
    appliesTo: 'metastore `rdbms` on Aurora',
    meaning: 'How far a replica that forwards writes may lag behind; set on every connection.',
  },
  poolMaxOpen: {
    canonical: 'PoolMaxOpen',
    environment: ['ASHERAH_POOL_MAX_OPEN', 'ASHERAH_POOL_SIZE'],
    type: count('connections', 0, 1_000_000),
    default: 0,
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning: 'Most connections open at a time; 0 means as many as the server lets in.',
  },
  poolMaxIdle: {
    canonical: 'PoolMaxIdle',
    environment: ['ASHERAH_POOL_MAX_IDLE'],
    type: count('connections', 0, 1_000_000),
    default: 2,
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning: 'Most connections kept while idle.',
  },
  poolMaxLifetime: {
    canonical: 'PoolMaxLifetime',
    environment: ['ASHERAH_POOL_MAX_LIFETIME'],
    type: seconds(0),
    default: 0,
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning: 'Age at which a connection is replaced; 0 means never.',
  },
  poolMaxIdleTime: {
    canonical: 'PoolMaxIdleTime',
    environment: ['ASHERAH_POOL_MAX_IDLE_TIME'],
    type: seconds(0),
    default: 0,
    group: 'metastore',
    appliesTo: 'metastore `rdbms`',
    meaning: 'Time unused after which a connection is ended; 0 means never.',
  },
  dynamoDbEndpoint: {
    canonical: 'DynamoDBEndpoint',
    environment: [],
    type: text,
    group: 'metastore',
    appliesTo: 'metastore `dynamodb`',
    meaning: 'URL to use in place of the one that the region implies.',
  },
  dynamoDbRegion: {
    canonical: 'DynamoDBRegion',
    environment: [],
    type: text,
    group: 'metastore',
    appliesTo: 'metastore `dynamodb`',
    meaning: 'Region of the table; by default the one that the AWS SDK finds.',
  },
  dynamoDbSigningRegion: {
    canonical: 'DynamoDBSigningRegion',
    environment: [],
    type: text,
    group: 'metastore',
    appliesTo: 'metastore `dynamodb`',
    meaning: 'Region that requests are signed for, where it is not that of the table.',
  },
  dynamoDbTableName: {
    canonical: 'DynamoDBTableName',
    environment: ['DDB_TABLE'],
    type: text,
    default: 'EncryptionKey',
    group: 'metastore',
    appliesTo: 'metastore `dynamodb`',
    meaning: 'Name of the table.',
  },
  enableRegionSuffix: {
    canonical: 'EnableRegionSuffix',
    environment: ['DDB_REGION_SUFFIX'],
    type: flag,
    default: false,
    group: 'metastore',
    appliesTo: 'metastore `dynamodb`',
    meaning:
      'Appends the region of the DynamoDB client to the ids of newly written keys; needed with global tables, and stronger than `regionSuffix`.',
  },

  kms: {
    canonical: 'KMS',
    environment: ['KMS'],
    type: { kind: 'backend', names: kmsNames, methods: ['encryptKey', 'decryptKey'] },
    required: true,
    group: 'kms',
    meaning: 'What wraps system keys.',
  },
  staticMasterKeyHex: {
    canonical: 'StaticMasterKeyHex',
    environment: ['STATIC_MASTER_KEY_HEX'],
    type: secret,
    group: 'kms',
    appliesTo: 'kms `static`',
    meaning:
      'The master key, 64 hexadecimal digits. Without it the variable is read; without either a random key is used, on the built-in memory metastore only.',
  },
  regionMap: {
    canonical: 'RegionMap',
    environment: ['REGION_MAP'],
    type: { kind: 'map' },
    group: 'kms',
    appliesTo: 'kms `aws`',
    meaning: 'Region to ARN of its KMS key; this or `kmsKeyId` is required. In the variable: a JSON object.',
  },
  preferredRegion: {
    canonical: 'PreferredRegion',
    environment: ['PREFERRED_REGION'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `aws`',
    meaning: 'The region of `regionMap` that is asked first; required when there are several.',
  },
  kmsKeyId: {
    canonical: 'KmsKeyId',
    environment: ['KMS_KEY_ID'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `aws`',
    meaning: 'The one KMS key to use where there is no `regionMap`.',
  },
  awsProfileName: {
    canonical: 'AwsProfileName',
    environment: [],
    type: text,
    group: 'kms',
    appliesTo: 'metastore `dynamodb`; kms `aws`, `secrets-manager`',
    meaning: 'Profile of the shared credentials file for every AWS client.',
  },
  secretsManagerSecretId: {
    canonical: 'SecretsManagerSecretId',
    environment: ['SECRETS_MANAGER_SECRET_ID'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `secrets-manager`',
    meaning: 'The secret that holds the master key; required.',
  },
  vaultAddr: {
    canonical: 'VaultAddr',
    environment: ['VAULT_ADDR'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'URL of Vault; required.',
  },
  vaultTransitKey: {
    canonical: 'VaultTransitKey',
    environment: ['VAULT_TRANSIT_KEY'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'Name of the transit key; required.',
  },
  vaultTransitMount: {
    canonical: 'VaultTransitMount',
    environment: ['VAULT_TRANSIT_MOUNT'],
    type: text,
    default: 'transit',
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'Where the transit engine is mounted.',
  },
  vaultToken: {
    canonical: 'VaultToken',
    environment: ['VAULT_TOKEN'],
    type: secret,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'The token to sign in with; required where `vaultAuthMethod` is not given.',
  },
  vaultAuthMethod: {
    canonical: 'VaultAuthMethod',
    environment: ['VAULT_AUTH_METHOD'],
    type: { kind: 'choice', names: ['token', 'kubernetes', 'k8s', 'approle', 'cert', 'tls'] },
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'How to sign in; without it, by token. `k8s` means `kubernetes`, `tls` means `cert`.',
  },
  vaultAuthRole: {
    canonical: 'VaultAuthRole',
    environment: ['VAULT_AUTH_ROLE'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault` by `kubernetes` or `cert`',
    meaning: 'The role to sign in for; required for `kubernetes`.',
  },
  vaultAuthMount: {
    canonical: 'VaultAuthMount',
    environment: ['VAULT_AUTH_MOUNT'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault` by `kubernetes`, `approle` or `cert`',
    meaning: 'Where the authentication method is mounted; by default under its own name.',
  },
  vaultK8sTokenPath: {
    canonical: 'VaultK8sTokenPath',
    environment: ['VAULT_K8S_TOKEN_PATH'],
    type: text,
    default: '/var/run/secrets/kubernetes.io/serviceaccount/token',
    group: 'kms',
    appliesTo: 'kms `vault` by `kubernetes`',
    meaning: "File that holds the service account's token.",
  },
  vaultApproleRoleId: {
    canonical: 'VaultApproleRoleId',
    environment: ['VAULT_APPROLE_ROLE_ID'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault` by `approle`',
    meaning: 'The role id; required.',
  },
  vaultApproleSecretId: {
    canonical: 'VaultApproleSecretId',
    environment: ['VAULT_APPROLE_SECRET_ID'],
    type: secret,
    group: 'kms',
    appliesTo: 'kms `vault` by `approle`',
    meaning: 'The secret id, where the role demands one.',
  },
  vaultNamespace: {
    canonical: 'VaultNamespace',
    environment: ['VAULT_NAMESPACE'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'Namespace of Vault Enterprise or HCP.',
  },
  vaultCaCert: {
    canonical: 'VaultCaCert',
    environment: ['VAULT_CACERT'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'PEM file of the authorities that may certify Vault, in place of those of the system.',
  },
  vaultTlsServerName: {
    canonical: 'VaultTlsServerName',
    environment: ['VAULT_TLS_SERVER_NAME'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'The name that the certificate of Vault must be for, where it is not the one in the address.',
  },
  vaultClientCert: {
    canonical: 'VaultClientCert',
    environment: ['VAULT_CLIENT_CERT'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning:
      'PEM file of the certificate that this client shows to Vault, whatever the method; required for `cert`.',
  },
  vaultClientKey: {
    canonical: 'VaultClientKey',
    environment: ['VAULT_CLIENT_KEY'],
    type: text,
    group: 'kms',
    appliesTo: 'kms `vault`',
    meaning: 'PEM file of the key of `vaultClientCert`; required beside it.',
  },

  expireAfter: {
    canonical: 'ExpireAfter',
    environment: ['EXPIRE_AFTER_SECS'],
    type: seconds(1),
    default: 7_776_000,
    group: 'policy',
    meaning: 'Age at which a key stops encrypting; it decrypts for ever.',
  },
  checkInterval: {
    canonical: 'CheckInterval',
    environment: ['REVOKE_CHECK_INTERVAL_SECS'],
    type: seconds(1),
    default: 3600,
    group: 'policy',
    meaning:
      'Time after which a key that is held is looked up again; a revoked key is out of use after twice that.',
  },
  createdPrecision: {
    canonical: 'CreatedPrecision',
    environment: ['CREATE_DATE_PRECISION_SECS'],
    type: seconds(1),
    default: 60,
    group: 'policy',
    meaning:
      'What the date of a new key is truncated to, so that processes that make one at the same time agree; lowered to `expireAfter` where it is larger.',
  },
  callTimeout: {
    canonical: 'CallTimeout',
    environment: ['ASHERAH_CALL_TIMEOUT_MS'],
    type: count('milliseconds', 1, 2_147_483_647),
    default: 30_000,
    group: 'policy',
    meaning:
      'Longest time that one call waits for metastore and KMS together, synchronous calls through the bridge included.',
  },
  connectTimeout: {
    canonical: 'ConnectTimeout',
    environment: ['ASHERAH_CONNECT_TIMEOUT_MS'],
    type: count('milliseconds', 1, 2_147_483_647),
    default: 5_000,
    group: 'policy',
    appliesTo: 'backends reached over a network',
    meaning: 'Longest time that opening one connection may take.',
  },
  queryTimeout: {
    canonical: 'QueryTimeout',
    environment: ['ASHERAH_QUERY_TIMEOUT_MS'],
    type: count('milliseconds', 1, 2_147_483_647),
    default: 10_000,
    group: 'policy',
    appliesTo: 'backends reached over a network',
    meaning: 'Longest time that one query, or one call of a KMS, may take.',
  },
  clock: {
    canonical: 'Clock',
    environment: [],
    type: { kind: 'clock' },
    group: 'policy',
    meaning:
      'An object with `now()` and `monotonic()`, both in milliseconds, to test rotation without sleeping.',
  },

  ringSize: {
    canonical: 'RingSize',
    environment: ['ASHERAH_RING_SIZE'],
    type: count('keys', 2, 16_777_216),
    default: 100_000,
    group: 'cache',
    meaning: 'Most keys held, sealed, in memory; about one for each partition in use.',
  },
  enableSessionCaching: {
    canonical: 'EnableSessionCaching',
    environment: [],
    type: flag,
    default: true,
    group: 'cache',
    meaning: 'Whether the module API keeps session objects between calls.',
  },
  sessionCacheMaxSize: {
    canonical: 'SessionCacheMaxSize',
    environment: ['SESSION_CACHE_MAX_SIZE'],
    type: count('sessions', 1, 4_294_967_295),
    default: 4096,
    group: 'cache',
    meaning: 'Most session objects that the module API keeps; it does not bound the keys, `ringSize` does.',
  },
  sessionCacheDuration: {
    canonical: 'SessionCacheDuration',
    environment: ['SESSION_CACHE_DURATION_SECS'],
    type: seconds(1),
    default: 7200,
    group: 'cache',
    meaning: 'Time that the module API keeps a session object.',
  },

  hotSlots: {
    canonical: 'HotSlots',
    environment: ['ASHERAH_HOT_SLOTS'],
    type: count('keys', 16, 1_048_576),
    default: 4096,
    group: 'memory',
    meaning: 'Keys kept expanded and ready in locked memory; one that was not used lately gives way.',
  },
  requireLockedMemory: {
    canonical: 'RequireLockedMemory',
    environment: ['ASHERAH_REQUIRE_LOCKED_MEMORY'],
    type: flag,
    default: false,
    group: 'memory',
    meaning: 'Makes it an error, in place of a warning, that the limit of locked memory is too low.',
  },
  hardenProcess: {
    canonical: 'HardenProcess',
    environment: ['ASHERAH_HARDEN_PROCESS'],
    type: flag,
    default: false,
    group: 'memory',
    meaning:
      'Keeps the whole process from core dumps and debuggers, from the first factory that asks for it until its end; Linux only.',
  },
  isolatedPlaintext: {
    canonical: 'IsolatedPlaintext',
    environment: ['ASHERAH_ISOLATED_PLAINTEXT'],
    type: flag,
    default: false,
    group: 'memory',
    meaning: 'Gives each decrypted result a backing store of its own, in place of a slice of a pool.',
  },
  enableCanaries: {
    canonical: 'EnableCanaries',
    environment: ['ASHERAH_ENABLE_CANARIES'],
    type: flag,
    default: false,
    group: 'memory',
    meaning:
      'Puts random bytes around each decrypted result and checks them when it is wiped or its place reused.',
  },

  verbose: {
    canonical: 'Verbose',
    environment: ['ASHERAH_VERBOSE'],
    type: flag,
    default: false,
    group: 'hooks',
    meaning: 'Lets debug and trace events reach the log hook too.',
  },

  selfHealRecoveredKeys: {
    canonical: 'SelfHealRecoveredKeys',
    environment: ['SELF_HEAL_RECOVERED_KEYS'],
    type: flag,
    group: 'without effect',
    meaning: 'Elsewhere a recovered key is written back; here recovery never writes.',
  },
  configDriftForceRun: {
    canonical: 'ConfigDriftForceRun',
    aliases: ['forceRunWithConfigDrift'],
    environment: ['ASHERAH_CONFIG_DRIFT_FORCE_RUN'],
    type: flag,
    group: 'without effect',
    meaning: 'Elsewhere a row in the metastore guards the configuration; here that row is left alone.',
  },
  configDriftForceUpdate: {
    canonical: 'ConfigDriftForceUpdate',
    aliases: ['forceUpdateConfigDriftGuard'],
    environment: ['ASHERAH_CONFIG_DRIFT_FORCE_UPDATE'],
    type: flag,
    group: 'without effect',
    meaning: 'As the one before.',
  },
  disableZeroCopy: {
    canonical: 'DisableZeroCopy',
    environment: [],
    type: flag,
    group: 'without effect',
    meaning: 'Chose, long ago, how bytes reached native code.',
  },
  nullDataCheck: {
    canonical: 'NullDataCheck',
    environment: [],
    type: flag,
    group: 'without effect',
    meaning: 'Asked, long ago, for a check that is always made.',
  },
}

export const keyNames = Object.keys(schema) as readonly KeyName[]

/** A variable that only other implementations obey. */
export interface ForeignVariable {
  readonly name: string
  /** Given as a notice when the variable asks for what does not happen here. */
  readonly meaning: string
  /** A notice when it is switched `on` or `off`, whenever it is `set`, or `never`. */
  readonly notice: 'on' | 'off' | 'set' | 'never'
}

export const foreignVariables: readonly ForeignVariable[] = [
  {
    name: 'SESSION_CACHE',
    meaning: 'Sessions cost next to nothing and are not cached by a factory.',
    notice: 'off',
  },
  {
    name: 'CACHE_SYSTEM_KEYS',
    meaning: 'System keys are always held; `checkInterval` bounds how long.',
    notice: 'off',
  },
  {
    name: 'CACHE_INTERMEDIATE_KEYS',
    meaning: 'Intermediate keys are always held; `checkInterval` bounds how long.',
    notice: 'off',
  },
  { name: 'SHARED_INTERMEDIATE_KEY_CACHE', meaning: 'Sessions always share their keys.', notice: 'off' },
  {
    name: 'INTERMEDIATE_KEY_CACHE_MAX_SIZE',
    meaning: '`ringSize` (`ASHERAH_RING_SIZE`) bounds the keys held.',
    notice: 'set',
  },
  {
    name: 'VAULT_SKIP_VERIFY',
    meaning: 'The certificate of Vault is always verified; `VAULT_CACERT` names the authorities.',
    notice: 'on',
  },
  {
    name: 'VAULT_CAPATH',
    meaning: 'A folder of authorities is not read: put them into one PEM file and name it in `VAULT_CACERT`.',
    notice: 'set',
  },
  { name: 'ASHERAH_NODE_DEBUG', meaning: 'Set a log hook and `verbose` in its place.', notice: 'never' },
  { name: 'ASHERAH_INTEROP_DEBUG', meaning: 'Of the .NET binding.', notice: 'never' },
  { name: 'ASHERAH_DOTNET_DISPOSE_TIMEOUT_MS', meaning: 'Of the .NET binding.', notice: 'never' },
]
