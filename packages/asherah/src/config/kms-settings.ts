import type { KeyManagementService } from '../kms/key-management-service.ts'
import { secretBytes } from '../secret-bytes.ts'
import { httpUrl } from './metastore-settings.ts'
import { type KeyName, kmsNames, offered } from './schema.ts'
import type { Settings } from './settings.ts'
import { isModuleUrl } from './values.ts'

/** How Vault is signed in to, without what is secret about it. */
export type VaultAuth =
  /** The token is `Secrets.vaultToken`. */
  | { readonly method: 'token' }
  | {
      readonly method: 'kubernetes'
      readonly mount: string
      readonly role: string
      readonly tokenPath: string
    }
  /** The secret id, if there is one, is `Secrets.vaultApproleSecretId`. */
  | { readonly method: 'approle'; readonly mount: string; readonly roleId: string }
  | {
      readonly method: 'cert'
      readonly mount: string
      readonly role?: string
    }

/** Which key management service, with all that it needs but its secrets. */
export type KmsConfig =
  /**
   * `given`: the key is `Secrets.staticMasterKey`; `test`: likewise, and everyone knows it; `random`: to be made, and gone
   * with the process.
   */
  | { readonly kind: 'static'; readonly key: 'given' | 'test' | 'random' }
  /** One key (`keyId`), or one a region (`arns`, with `preferredRegion` among them). */
  | { readonly kind: 'aws'; readonly keyId: string; readonly profile?: string }
  | {
      readonly kind: 'aws'
      readonly arns: Readonly<Record<string, string>>
      readonly preferredRegion: string
      readonly profile?: string
    }
  | { readonly kind: 'secrets-manager'; readonly secretId: string; readonly profile?: string }
  | {
      readonly kind: 'vault'
      readonly addr: string
      readonly transitKey: string
      readonly transitMount: string
      readonly namespace?: string
      readonly caPath?: string
      readonly serverName?: string
      /** Shown to Vault whatever the method of `auth`, which is `cert` only where they are given. */
      readonly clientCertPath?: string
      readonly clientKeyPath?: string
      readonly auth: VaultAuth
    }
  | { readonly kind: 'object'; readonly kms: KeyManagementService }
  /** A `file:` URL. */
  | { readonly kind: 'module'; readonly url: string }

export interface ResolvedKms {
  readonly config: KmsConfig
  /** 32 bytes. */
  readonly staticMasterKey?: Uint8Array
  readonly vaultToken?: string
  readonly vaultApproleSecretId?: string
}

/** The variable that a configuration without `staticMasterKeyHex` falls back to. */
export interface StaticKeyEnvironment {
  readonly STATIC_MASTER_KEY_HEX?: string | undefined
}

/** The public test key (contract section 2.5.2). */
const testKey = 'thisIsAStaticMasterKeyForTesting'
const keyBytes = 32

/**
 * The key management service that the settings ask for; undefined when a problem was noted. `inMemory` tells whether the
 * metastore is the built-in memory one, undefined where that is not known.
 */
export function resolveKms(
  settings: Settings,
  inMemory: boolean | undefined,
  ambient: StaticKeyEnvironment,
): ResolvedKms | undefined {
  if (!settings.isGiven('kms')) {
    const own = settings.origin === 'object' ? ['an object of your own'] : []
    settings.problem('kms', `is required: ${[...offered(kmsNames), ...own].join(', ')} or a file: URL`)
  }
  const value = settings.value('kms')
  if (value === undefined) return undefined
  if (isModuleUrl(value)) return { config: { kind: 'module', url: new URL(value).href } }
  if (typeof value !== 'string') return { config: { kind: 'object', kms: value as KeyManagementService } }
  switch (value.toLowerCase()) {
    case 'aws':
      return resolveAws(settings)
    case 'secrets-manager':
      return resolveSecretsManager(settings)
    case 'vault':
    case 'vault-transit':
      return resolveVault(settings)
    case 'test-debug-static':
      return resolveTestKey(settings)
    default:
      return resolveStatic(settings, inMemory, ambient)
  }
}

function resolveStatic(
  settings: Settings,
  inMemory: boolean | undefined,
  ambient: StaticKeyEnvironment,
): ResolvedKms | undefined {
  const variable = ambient.STATIC_MASTER_KEY_HEX
  if (settings.isGiven('staticMasterKeyHex')) {
    const hex = settings.value('staticMasterKeyHex')
    return typeof hex === 'string'
      ? staticKey(settings, settings.nameOf('staticMasterKeyHex'), hex)
      : undefined
  }
  if (variable !== undefined) return staticKey(settings, 'STATIC_MASTER_KEY_HEX', variable)
  if (inMemory === true) {
    settings.findings.notice(
      'The static KMS has no key, so a random one is used: what it seals cannot be read after this process ends. Give ' +
        `${settings.nameOf('staticMasterKeyHex')} to keep it.`,
    )
    return { config: { kind: 'static', key: 'random' } }
  }
  if (inMemory === false) {
    const or = settings.origin === 'object' ? ', here or as STATIC_MASTER_KEY_HEX in the environment' : ''
    settings.problem(
      'staticMasterKeyHex',
      `is required for the static KMS: 64 hexadecimal digits${or}. A random key is used on the memory metastore only`,
    )
  }
  return undefined
}

function staticKey(settings: Settings, label: string, hex: string): ResolvedKms | undefined {
  if (!/^[0-9a-f]{64}$/i.test(hex)) {
    const is = hex === '' ? 'is empty' : 'is malformed'
    settings.findings.problem(label, `${is}: a static master key is 64 hexadecimal digits, nothing else`)
    return undefined
  }
  const key = secretBytes(keyBytes)
  for (let index = 0; index < key.length; index++) {
    key[index] = hexDigit(hex, 2 * index) * 16 + hexDigit(hex, 2 * index + 1)
  }
  return { config: { kind: 'static', key: 'given' }, staticMasterKey: key }
}

function resolveTestKey(settings: Settings): ResolvedKms | undefined {
  if (settings.isGiven('staticMasterKeyHex')) {
    settings.problem('staticMasterKeyHex', 'is not used by test-debug-static; leave it out, or use static')
    return undefined
  }
  settings.findings.notice(
    'test-debug-static seals everything under a key that is printed in public documentation. Never use it for real data.',
  )
  const key = secretBytes(keyBytes)
  for (let index = 0; index < key.length; index++) key[index] = testKey.charCodeAt(index)
  return { config: { kind: 'static', key: 'test' }, staticMasterKey: key }
}

// Digit by digit, so that no piece of the key becomes a string of its own.
function hexDigit(hex: string, index: number): number {
  const code = hex.charCodeAt(index)
  if (code <= 0x39) return code - 0x30
  return (code | 0x20) - 0x61 + 10
}

function resolveAws(settings: Settings): ResolvedKms | undefined {
  const arns = settings.map('regionMap')
  const preferred = settings.text('preferredRegion')
  const profile = settings.text('awsProfileName')
  const common = { kind: 'aws', ...(profile !== undefined && { profile }) } as const
  if (arns === undefined) {
    if (settings.isBroken('regionMap')) return undefined
    const keyId = settings.requiredText(
      'kmsKeyId',
      ` for AWS KMS, or ${settings.nameOf('regionMap')} where there are several regions`,
    )
    return keyId === undefined ? undefined : { config: { ...common, keyId } }
  }
  if (settings.isGiven('kmsKeyId')) {
    settings.findings.notice(
      `${settings.nameOf('kmsKeyId')} has no effect beside ${settings.nameOf('regionMap')}.`,
    )
  }
  const [first] = arns.keys()
  const region = preferred ?? first
  if (region === undefined) settings.problem('regionMap', 'is empty; give a region and the ARN of its key')
  else if (arns.has('')) settings.problem('regionMap', 'has an empty region name')
  else if ([...arns.values()].includes('')) settings.problem('regionMap', 'has a region with an empty ARN')
  else if (settings.isBroken('preferredRegion')) return undefined
  else if (preferred === undefined && arns.size > 1) {
    settings.problem(
      'preferredRegion',
      `is required when ${settings.nameOf('regionMap')} has several regions`,
    )
  } else if (!arns.has(region)) {
    settings.problem('preferredRegion', `is no region of ${settings.nameOf('regionMap')}`)
  } else return { config: { ...common, arns: Object.fromEntries(arns), preferredRegion: region } }
  return undefined
}

function resolveSecretsManager(settings: Settings): ResolvedKms | undefined {
  const secretId = settings.requiredText('secretsManagerSecretId', ' for Secrets Manager')
  const profile = settings.text('awsProfileName')
  if (secretId === undefined) return undefined
  settings.findings.notice(
    'Secrets Manager hands the master key out to this process; AWS KMS keeps it. Prefer AWS KMS where it can be had.',
  )
  return { config: { kind: 'secrets-manager', secretId, ...(profile !== undefined && { profile }) } }
}

function resolveVault(settings: Settings): ResolvedKms | undefined {
  const addr = httpUrl(settings, 'vaultAddr', settings.requiredText('vaultAddr', ' for Vault'))
  const transitKey = settings.requiredText('vaultTransitKey', ' for Vault')
  const transitMount = settings.requiredText('vaultTransitMount')
  const signIn = resolveVaultAuth(settings)
  const certificate = resolveClientCertificate(settings)
  if (
    addr === undefined ||
    transitKey === undefined ||
    transitMount === undefined ||
    signIn === undefined ||
    certificate === undefined
  ) {
    return undefined
  }
  const { auth, ...secrets } = signIn
  const namespace = settings.text('vaultNamespace')
  const caPath = settings.text('vaultCaCert')
  const serverName = settings.text('vaultTlsServerName')
  const optional = {
    ...(namespace !== undefined && { namespace }),
    ...(caPath !== undefined && { caPath }),
    ...(serverName !== undefined && { serverName }),
    ...certificate,
  }
  return { config: { kind: 'vault', addr, transitKey, transitMount, ...optional, auth }, ...secrets }
}

/** The certificate that this client shows to Vault, or nothing; undefined when a problem was noted. */
function resolveClientCertificate(
  settings: Settings,
): Pick<Extract<KmsConfig, { kind: 'vault' }>, 'clientCertPath' | 'clientKeyPath'> | undefined {
  const clientCertPath = settings.text('vaultClientCert')
  const clientKeyPath = settings.text('vaultClientKey')
  if (clientCertPath !== undefined && clientKeyPath !== undefined) return { clientCertPath, clientKeyPath }
  if (settings.isBroken('vaultClientCert') || settings.isBroken('vaultClientKey')) return undefined
  if (clientCertPath === clientKeyPath) return {}
  const missing = clientCertPath === undefined ? 'vaultClientCert' : 'vaultClientKey'
  const given = clientCertPath === undefined ? 'vaultClientKey' : 'vaultClientCert'
  settings.problem(missing, `is required beside ${settings.nameOf(given)}`)
  return undefined
}

function resolveVaultAuth(
  settings: Settings,
): ({ auth: VaultAuth } & Omit<ResolvedKms, 'config'>) | undefined {
  const method = settings.choice('vaultAuthMethod')
  if (settings.isBroken('vaultAuthMethod')) return undefined
  const need = (key: KeyName) => settings.requiredText(key, ` for Vault's ${method} authentication`)
  const mount = (name: string) => settings.text('vaultAuthMount') ?? name
  switch (method) {
    case 'kubernetes':
    case 'k8s': {
      const role = need('vaultAuthRole')
      const tokenPath = need('vaultK8sTokenPath')
      if (role === undefined || tokenPath === undefined) return undefined
      return { auth: { method: 'kubernetes', mount: mount('kubernetes'), role, tokenPath } }
    }
    case 'approle': {
      const roleId = need('vaultApproleRoleId')
      const vaultApproleSecretId = settings.text('vaultApproleSecretId')
      if (roleId === undefined) return undefined
      return {
        auth: { method: 'approle', mount: mount('approle'), roleId },
        ...(vaultApproleSecretId !== undefined && { vaultApproleSecretId }),
      }
    }
    case 'cert':
    case 'tls': {
      const role = settings.text('vaultAuthRole')
      const certificate = need('vaultClientCert')
      const key = need('vaultClientKey')
      if (certificate === undefined || key === undefined) return undefined
      return { auth: { method: 'cert', mount: mount('cert'), ...(role !== undefined && { role }) } }
    }
    default: {
      const why = ` for Vault where ${settings.nameOf('vaultAuthMethod')} is not given`
      const vaultToken = settings.requiredText('vaultToken', why)
      return vaultToken === undefined ? undefined : { auth: { method: 'token' }, vaultToken }
    }
  }
}
