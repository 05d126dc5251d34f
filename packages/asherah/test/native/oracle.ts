import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** A DataRowRecord as `JSON.parse` gives it. */
export interface ParsedRecord {
  readonly Key: {
    readonly Created: number
    readonly Key: string
    readonly ParentKeyMeta: { readonly KeyId: string; readonly Created: number }
  }
  readonly Data: string
}

/** AES-256-GCM as ciphertext ‖ tag ‖ nonce (contract 2.1), in node:crypto alone. */
export function seal(key: Uint8Array, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag(), nonce])
}

export function open(key: Uint8Array, sealed: Uint8Array): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(-12))
  decipher.setAuthTag(sealed.subarray(-28, -12))
  return Buffer.concat([decipher.update(sealed.subarray(0, -28)), decipher.final()])
}

/** Writes a record as another implementation would. */
export function oracleEncrypt(
  intermediateKey: Uint8Array,
  meta: ParsedRecord['Key']['ParentKeyMeta'],
  payload: Uint8Array,
): string {
  const dataRowKey = randomBytes(32)
  const record: ParsedRecord = {
    Key: {
      Created: Math.floor(Date.now() / 1000),
      Key: seal(intermediateKey, dataRowKey).toString('base64'),
      ParentKeyMeta: meta,
    },
    Data: seal(dataRowKey, payload).toString('base64'),
  }
  return JSON.stringify(record)
}

export function oracleDecrypt(intermediateKey: Uint8Array, text: string): Buffer {
  const record = JSON.parse(text) as ParsedRecord
  const dataRowKey = open(intermediateKey, Buffer.from(record.Key.Key, 'base64'))
  return open(dataRowKey, Buffer.from(record.Data, 'base64'))
}
