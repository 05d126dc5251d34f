import type { KmsConfig } from '../config/kms-settings.ts'
import type { Secrets } from '../config/secrets.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'

/** Moves the static master key into guarded memory, where a random one is made; undefined with another KMS. */
export function takeMasterKey(
  native: NativeBinding,
  kms: KmsConfig,
  secrets: Secrets,
): KeyHandle | undefined {
  if (kms.kind !== 'static') return undefined
  if (kms.key === 'random') return checked(native.keyGenerate()) as KeyHandle
  const bytes = secrets.staticMasterKey
  if (bytes === undefined) throw new TypeError('the static KMS was configured without its key')
  try {
    return checked(native.keyImport(bytes)) as KeyHandle
  } finally {
    secrets.wipe()
  }
}
