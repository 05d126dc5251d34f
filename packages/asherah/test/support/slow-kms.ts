import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyManagementService } from '../../src/index.ts'

/** A KMS that answers later, so that synchronous calls need the bridge. Its master key is no secret. */
export function createKms(): KeyManagementService {
  const masterKey = Buffer.alloc(32, 0x5c)
  return {
    async encryptKey(key) {
      await sleep(2)
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', masterKey, nonce)
      return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()])
    },
    async decryptKey(wrapped) {
      await sleep(2)
      const decipher = createDecipheriv('aes-256-gcm', masterKey, wrapped.subarray(0, 12))
      decipher.setAuthTag(wrapped.subarray(-16))
      return Buffer.concat([decipher.update(wrapped.subarray(12, -16)), decipher.final()])
    },
  }
}
