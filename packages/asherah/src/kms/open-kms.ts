import type { Config } from '../config/config.ts'
import type { KmsConfig, VaultAuth } from '../config/kms-settings.ts'
import type { BackendSecrets } from '../config/secrets.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { importBackend } from '../module-backend.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { byHandle, isHandleKms } from './handle-kms.ts'
import type { KeyManagementService } from './key-management-service.ts'
import { StaticKms } from './static-kms.ts'
import { BytesKmsWrapper, type SystemKeyWrapper } from './system-key-wrapper.ts'
import type { VaultAuthOptions } from './vault-login.ts'

/** The KMS that the configuration names. What it takes from npm is imported only now. */
export function openKms(
  { kms, limits, policy }: Pick<Config, 'kms' | 'limits' | 'policy'>,
  secrets: BackendSecrets,
  native: NativeBinding,
  masterKey: KeyHandle | undefined,
): MaybePromise<SystemKeyWrapper> {
  switch (kms.kind) {
    case 'static':
      if (masterKey === undefined) throw new TypeError('the static KMS was opened without its master key')
      return new StaticKms(native, masterKey)
    case 'object':
      return wrapperOf(native, kms.kms)
    case 'module':
      return importBackend(kms.url, 'kms', 'createKms', isKms).then((made) => wrapperOf(native, made))
    default:
      return openService(kms, secrets, limits, policy.checkIntervalSeconds).then((made) =>
        wrapperOf(native, made),
      )
  }
}

function wrapperOf(native: NativeBinding, kms: KeyManagementService): SystemKeyWrapper {
  return isHandleKms(kms) ? kms[byHandle](native) : new BytesKmsWrapper(native, kms)
}

async function openService(
  config: Extract<KmsConfig, { kind: 'aws' | 'vault' | 'secrets-manager' }>,
  secrets: BackendSecrets,
  limits: Config['limits'],
  checkIntervalSeconds: number,
): Promise<KeyManagementService> {
  switch (config.kind) {
    case 'aws': {
      const { AwsKms } = await import('./aws-kms.ts')
      const profile = config.profile === undefined ? {} : { profile: config.profile }
      if ('keyId' in config) return AwsKms.open({ ...limits, ...profile, kmsKeyId: config.keyId })
      const { arns: regionMap, preferredRegion } = config
      return AwsKms.open({ ...limits, ...profile, regionMap, preferredRegion })
    }
    case 'secrets-manager': {
      const { SecretsManagerKms } = await import('./secrets-manager.ts')
      return SecretsManagerKms.open({ ...config, ...limits, checkIntervalSeconds })
    }
    case 'vault': {
      const { VaultKms } = await import('./vault.ts')
      const { auth, kind: _, ...place } = config
      return new VaultKms({ ...place, ...limits, auth: withSecret(auth, secrets) })
    }
  }
}

function withSecret(auth: VaultAuth, secrets: BackendSecrets): VaultAuthOptions {
  switch (auth.method) {
    case 'token':
      return { method: 'token', token: secrets.vaultToken ?? '' }
    case 'approle': {
      const secretId = secrets.vaultApproleSecretId
      return { ...auth, ...(secretId !== undefined && { secretId }) }
    }
    case 'cert':
    case 'kubernetes':
      return auth
  }
}

function isKms(value: unknown): value is KeyManagementService {
  const kms = value as Partial<KeyManagementService> | null
  return (
    typeof kms === 'object' &&
    kms !== null &&
    typeof kms.encryptKey === 'function' &&
    typeof kms.decryptKey === 'function'
  )
}
