import { drive } from '../engine/work.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { loadNative } from '../native/load.ts'
import { secretBytes } from '../secret-bytes.ts'
import type { KeyManagementService } from './key-management-service.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'

/** Names what a KMS of this library offers beside `encryptKey` and `decryptKey`: work on keys in guarded memory. */
export const byHandle: unique symbol = Symbol('asherah.byHandle')

/** A KMS that can do without the bytes of system keys. */
export interface HandleKms extends KeyManagementService {
  [byHandle](native: NativeBinding): SystemKeyWrapper
}

export function isHandleKms(kms: KeyManagementService): kms is HandleKms {
  return byHandle in kms
}

/** `encryptKey` of a KMS that works by handle, for those that have a key's bytes. */
export async function encryptBytes(kms: HandleKms, key: Uint8Array): Promise<Uint8Array> {
  const native = preparedNative()
  // The caller's bytes stay: importing overwrites what it is given.
  const bytes = secretBytes(key.length)
  bytes.set(key)
  const handle = importKey(native, bytes)
  try {
    return await drive(kms[byHandle](native).wrap(handle))
  } finally {
    native.keyRelease(handle)
  }
}

/** `decryptKey` of a KMS that works by handle. */
export async function decryptBytes(kms: HandleKms, encryptedKey: Uint8Array): Promise<Uint8Array> {
  const native = preparedNative()
  const handle = await drive(kms[byHandle](native).unwrap(encryptedKey))
  try {
    const bytes = secretBytes(32)
    checked(native.keyExport(handle, bytes))
    return bytes
  } finally {
    native.keyRelease(handle)
  }
}

/** The fewest hot slots that there can be: a factory, where there is one, has made more. */
const fewestSlots = 16

/** These two work without a factory, which else makes the guarded memory. */
function preparedNative(): NativeBinding {
  const native = loadNative()
  checked(native.memoryPrepare(fewestSlots, false))
  return native
}

/** Moves 32 bytes into guarded memory; they are overwritten, whatever happens. */
export function importKey(native: NativeBinding, bytes: Uint8Array): KeyHandle {
  try {
    return checked(native.keyImport(bytes)) as KeyHandle
  } finally {
    bytes.fill(0)
  }
}
