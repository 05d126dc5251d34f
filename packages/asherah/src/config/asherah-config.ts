import type { Clock } from '../clock.ts'
import type { KeyManagementService } from '../kms/key-management-service.ts'
import type { Metastore } from '../metastore/metastore.ts'

/** Names of the metastores, of which `test-debug-…` are other names of the same. */
export type MetastoreName =
  | 'memory'
  | 'sqlite'
  | 'rdbms'
  | 'dynamodb'
  | 'test-debug-memory'
  | 'test-debug-sqlite'

/** Names of the key management services. `vault-transit` is `vault`; `test-debug-static` is a key that everyone knows. */
export type KmsName = 'static' | 'aws' | 'secrets-manager' | 'vault' | 'vault-transit' | 'test-debug-static'

/** `null` and `undefined` mean that a key is not given. */
type Absent = null | undefined

/** Any other text, so that a configuration read from JSON fits; it is checked when the configuration is read. */
type AnyText = string & Record<never, never>

/**
 * The configuration in camelCase, checked as a whole before anything is opened: unknown keys, wrong types and
 * contradictions are all reported in one `ConfigurationError`. `docs/configuration.md` lists every key.
 *
 * @example
 * ```ts
 * const config: AsherahConfig = {
 *   serviceName: 'billing',
 *   productId: 'shop',
 *   metastore: 'sqlite',
 *   connectionString: 'keys.db',
 *   kms: 'static',
 *   staticMasterKeyHex: process.env.MASTER_KEY,
 * }
 * ```
 */
export interface AsherahConfig {
  /** The service whose keys these are; part of every key id, so it can never be changed. */
  readonly serviceName: string
  /** The product that the service belongs to; part of every key id, so it can never be changed. */
  readonly productId: string
  /**
   * Appended to the ids of newly written keys, on any metastore; no `_`, no white space, and
   * not the word that service and product share where they are one. Empty means none.
   */
  readonly regionSuffix?: string | Absent
  /**
   * Suffixes of other regions whose keys may be read when one is missing here; one exact load for each, never
   * a write.
   */
  readonly recoveryRegionSuffixes?: readonly string[] | Absent
  /**
   * Where wrapped keys rest. The name of one of ours, in any case; an object of your own; or the `file:` URL of a
   * module whose export `metastore`, `createMetastore()` or default is one, which a worker thread can load too.
   */
  readonly metastore: MetastoreName | Metastore | URL | AnyText
  /**
   * The path of the SQLite file, or where the database is and who signs in; required for both. For metastore
   * `sqlite`, `rdbms`.
   */
  readonly connectionString?: string | Absent
  /**
   * The kind of database, used only when the form of `connectionString` does not tell. For metastore `rdbms`.
   */
  readonly sqlMetastoreDbType?: 'mysql' | 'postgres' | AnyText | Absent
  /**
   * `false`: no TLS; `skip-verify`: TLS without any check; anything else: verified TLS. The same as `tls` in
   * the connection string. For metastore `rdbms` on MySQL.
   */
  readonly mysqlTlsMode?: string | Absent
  /**
   * How far a replica that forwards writes may lag behind; set on every connection. For metastore `rdbms` on
   * Aurora.
   */
  readonly replicaReadConsistency?: 'eventual' | 'global' | 'session' | AnyText | Absent
  /** Most connections open at a time; 0 means as many as the server lets in. In connections; default 0. For metastore `rdbms`. */
  readonly poolMaxOpen?: number | Absent
  /** Most connections kept while idle. In connections; default 2. For metastore `rdbms`. */
  readonly poolMaxIdle?: number | Absent
  /**
   * Age at which a connection is replaced; 0 means never. In seconds; default 0. For metastore `rdbms` on
   * MySQL.
   */
  readonly poolMaxLifetime?: number | Absent
  /**
   * Time unused after which a connection is ended; 0 means never. In seconds; default 0. For metastore
   * `rdbms` on MySQL.
   */
  readonly poolMaxIdleTime?: number | Absent
  /** URL to use in place of the one that the region implies. For metastore `dynamodb`. */
  readonly dynamoDbEndpoint?: string | Absent
  /** Region of the table; by default the one that the AWS SDK finds. For metastore `dynamodb`. */
  readonly dynamoDbRegion?: string | Absent
  /** Region that requests are signed for, where it is not that of the table. For metastore `dynamodb`. */
  readonly dynamoDbSigningRegion?: string | Absent
  /** Name of the table. Default `EncryptionKey`. For metastore `dynamodb`. */
  readonly dynamoDbTableName?: string | Absent
  /**
   * Appends the region of the DynamoDB client to the ids of newly written keys; needed with global tables,
   * and stronger than `regionSuffix`. Default `false`. For metastore `dynamodb`.
   */
  readonly enableRegionSuffix?: boolean | Absent
  /**
   * What wraps system keys. The name of one of ours, in any case; an object of your own; or the `file:` URL of a
   * module whose export `kms`, `createKms()` or default is one, which a worker thread can load too.
   */
  readonly kms: KmsName | KeyManagementService | URL | AnyText
  /**
   * The master key, 64 hexadecimal digits. Without it the variable is read; without either a random key is
   * used, on the built-in memory metastore only. For kms `static`.
   */
  readonly staticMasterKeyHex?: string | Absent
  /**
   * Region to ARN of its KMS key; this or `kmsKeyId` is required. In the variable: a JSON object. For kms
   * `aws`.
   */
  readonly regionMap?: Readonly<Record<string, string>> | Absent
  /** The region of `regionMap` that is asked first; required when there are several. For kms `aws`. */
  readonly preferredRegion?: string | Absent
  /** The one KMS key to use where there is no `regionMap`. For kms `aws`. */
  readonly kmsKeyId?: string | Absent
  /**
   * Profile of the shared credentials file for every AWS client. For metastore `dynamodb`; kms `aws`,
   * `secrets-manager`.
   */
  readonly awsProfileName?: string | Absent
  /** The secret that holds the master key; required. For kms `secrets-manager`. */
  readonly secretsManagerSecretId?: string | Absent
  /** URL of Vault; required. For kms `vault`. */
  readonly vaultAddr?: string | Absent
  /** Name of the transit key; required. For kms `vault`. */
  readonly vaultTransitKey?: string | Absent
  /** Where the transit engine is mounted. Default `transit`. For kms `vault`. */
  readonly vaultTransitMount?: string | Absent
  /** The token to sign in with; required where `vaultAuthMethod` is not given. For kms `vault`. */
  readonly vaultToken?: string | Absent
  /** How to sign in; without it, by token. `k8s` means `kubernetes`, `tls` means `cert`. For kms `vault`. */
  readonly vaultAuthMethod?: 'token' | 'kubernetes' | 'k8s' | 'approle' | 'cert' | 'tls' | AnyText | Absent
  /** The role to sign in for; required for `kubernetes`. For kms `vault` by `kubernetes` or `cert`. */
  readonly vaultAuthRole?: string | Absent
  /**
   * Where the authentication method is mounted; by default under its own name. For kms `vault` by
   * `kubernetes`, `approle` or `cert`.
   */
  readonly vaultAuthMount?: string | Absent
  /**
   * File that holds the service account's token. Default
   * `/var/run/secrets/kubernetes.io/serviceaccount/token`. For kms `vault` by `kubernetes`.
   */
  readonly vaultK8sTokenPath?: string | Absent
  /** The role id; required. For kms `vault` by `approle`. */
  readonly vaultApproleRoleId?: string | Absent
  /** The secret id, where the role demands one. For kms `vault` by `approle`. */
  readonly vaultApproleSecretId?: string | Absent
  /** Namespace of Vault Enterprise or HCP. */
  readonly vaultNamespace?: string | Absent
  /** PEM file of the authorities that may certify Vault, in place of those of the system. */
  readonly vaultCaCert?: string | Absent
  /** The name that the certificate of Vault must be for, where it is not the one in the address. */
  readonly vaultTlsServerName?: string | Absent
  /**
   * PEM file of the certificate that this client shows to Vault, whatever the method; required for `cert`. For kms
   * `vault`.
   */
  readonly vaultClientCert?: string | Absent
  /** PEM file of the key of `vaultClientCert`; required beside it. For kms `vault`. */
  readonly vaultClientKey?: string | Absent
  /** Age at which a key stops encrypting; it decrypts for ever. In seconds; default 7776000. */
  readonly expireAfter?: number | Absent
  /**
   * Time after which a key that is held is looked up again; a revoked key is out of use after twice that. In
   * seconds; default 3600.
   */
  readonly checkInterval?: number | Absent
  /**
   * What the date of a new key is truncated to, so that processes that make one at the same time agree;
   * lowered to `expireAfter` where it is larger. In seconds; default 60.
   */
  readonly createdPrecision?: number | Absent
  /**
   * Longest time that one call waits for metastore and KMS together, synchronous calls through the bridge
   * included. In milliseconds; default 30000.
   */
  readonly callTimeout?: number | Absent
  /** Longest time that opening one connection may take. In milliseconds; default 5000. */
  readonly connectTimeout?: number | Absent
  /** Longest time that one query, or one call of a KMS, may take. In milliseconds; default 10000. */
  readonly queryTimeout?: number | Absent
  /** An object with `now()` and `monotonic()`, both in milliseconds, to test rotation without sleeping. */
  readonly clock?: Clock | Absent
  /** Most keys held, sealed, in memory; about one for each partition in use. In keys; default 100000. */
  readonly ringSize?: number | Absent
  /** Whether the module API keeps session objects between calls. Default `true`. */
  readonly enableSessionCaching?: boolean | Absent
  /**
   * Most session objects that the module API keeps; it does not bound the keys, `ringSize` does. In sessions;
   * default 4096.
   */
  readonly sessionCacheMaxSize?: number | Absent
  /** Time that the module API keeps a session object. In seconds; default 7200. */
  readonly sessionCacheDuration?: number | Absent
  /**
   * Keys kept expanded and ready in locked memory; one that was not used lately gives way. In keys; default
   * 4096.
   */
  readonly hotSlots?: number | Absent
  /**
   * Makes it an error, in place of a warning, that the limit of locked memory is too low. Default `false`.
   */
  readonly requireLockedMemory?: boolean | Absent
  /**
   * Keeps the whole process from core dumps and debuggers, from the first factory that asks for it until its end;
   * Linux only. Default `false`.
   */
  readonly hardenProcess?: boolean | Absent
  /**
   * Gives each decrypted result a backing store of its own, in place of a slice of a pool. Default `false`.
   */
  readonly isolatedPlaintext?: boolean | Absent
  /**
   * Puts random bytes around each decrypted result and checks them when it is wiped or its place reused.
   * Default `false`.
   */
  readonly enableCanaries?: boolean | Absent
  /** Lets debug and trace events reach the log hook too. Default `false`. */
  readonly verbose?: boolean | Absent
  /** Elsewhere a recovered key is written back; here recovery never writes. Accepted, without effect. */
  readonly selfHealRecoveredKeys?: boolean | Absent
  /**
   * Elsewhere a row in the metastore guards the configuration; here that row is left alone. Accepted, without
   * effect.
   */
  readonly configDriftForceRun?: boolean | Absent
  /** As the one before. Accepted, without effect. */
  readonly configDriftForceUpdate?: boolean | Absent
  /** Chose, long ago, how bytes reached native code. Accepted, without effect. */
  readonly disableZeroCopy?: boolean | Absent
  /** Asked, long ago, for a check that is always made. Accepted, without effect. */
  readonly nullDataCheck?: boolean | Absent
}

/** Where PascalCase is more than a capital first letter (contract sections 5.1 and 6.2). */
interface CanonicalNames {
  readonly productId: 'ProductID' | 'ProductId'
  readonly kms: 'KMS' | 'Kms'
  readonly sqlMetastoreDbType: 'SQLMetastoreDBType' | 'SqlMetastoreDbType'
  readonly dynamoDbEndpoint: 'DynamoDBEndpoint' | 'DynamoDbEndpoint'
  readonly dynamoDbRegion: 'DynamoDBRegion' | 'DynamoDbRegion'
  readonly dynamoDbSigningRegion: 'DynamoDBSigningRegion' | 'DynamoDbSigningRegion'
  readonly dynamoDbTableName: 'DynamoDBTableName' | 'DynamoDbTableName'
  readonly configDriftForceRun: 'ConfigDriftForceRun' | 'ForceRunWithConfigDrift'
  readonly configDriftForceUpdate: 'ConfigDriftForceUpdate' | 'ForceUpdateConfigDriftGuard'
}

type PascalCase<Name extends string> = Name extends keyof CanonicalNames
  ? CanonicalNames[Name]
  : Capitalize<Name>

type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : Name

/**
 * The same configuration in the PascalCase of the canonical implementations, in snake_case, or in a mixture of all.
 * What is required is checked when it is read.
 *
 * @example
 * ```ts
 * const config: CanonicalConfig = { ServiceName: 'billing', ProductID: 'shop', Metastore: 'memory', KMS: 'static' }
 * ```
 */
export type CanonicalConfig = {
  readonly [Name in keyof AsherahConfig]?: AsherahConfig[Name] | Absent
} & {
  readonly [Name in keyof AsherahConfig as PascalCase<Name>]?: AsherahConfig[Name] | Absent
} & {
  readonly [Name in keyof AsherahConfig as SnakeCase<Name>]?: AsherahConfig[Name] | Absent
}
