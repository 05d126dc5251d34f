import type { KmsConfig } from '../config/kms-settings.ts'
import { AsherahError } from '../errors.ts'
import type { MaybePromise } from '../maybe-promise.ts'
import { importBackend } from '../module-backend.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import type { KeyManagementService } from './key-management-service.ts'
import { StaticKms } from './static-kms.ts'
import { BytesKmsWrapper, type SystemKeyWrapper } from './system-key-wrapper.ts'

/** The KMS that the configuration names. */
export function openKms(
  config: KmsConfig,
  native: NativeBinding,
  masterKey: KeyHandle | undefined,
): MaybePromise<SystemKeyWrapper> {
  switch (config.kind) {
    case 'static':
      if (masterKey === undefined) throw new TypeError('the static KMS was opened without its master key')
      return new StaticKms(native, masterKey)
    case 'object':
      return new BytesKmsWrapper(native, config.kms)
    case 'module':
      return importBackend(config.url, 'kms', 'createKms', isKms).then(
        (kms) => new BytesKmsWrapper(native, kms),
      )
    default:
      throw new AsherahError('ERR_NOT_BUILT_IN', `The KMS '${config.kind}' is not built in.`)
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
