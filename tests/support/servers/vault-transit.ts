import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { VaultRefusal } from './vault-refusal.ts'

/** One transit secrets engine: named keys with versions. */
export class VaultTransit {
  readonly #keys = new Map<string, TransitKey>()

  has(name: string): boolean {
    return this.#keys.has(name)
  }

  /** Makes a key of type aes256-gcm96 with one version. Does nothing when it exists. */
  create(name: string): void {
    if (!this.#keys.has(name)) this.#keys.set(name, { versions: [newVersion()], minDecryptionVersion: 1 })
  }

  /** Adds a version, which encrypts from now on. */
  rotate(name: string): void {
    this.#key(name).versions.push(newVersion())
  }

  /** Refuses to decrypt what older versions encrypted. */
  setMinDecryptionVersion(name: string, version: number): void {
    const key = this.#key(name)
    if (version > key.versions.length) {
      throw new VaultRefusal(400, [
        `cannot set min decryption version of ${version}, latest key version is ${key.versions.length}`,
      ])
    }
    key.minDecryptionVersion = Math.max(1, version)
  }

  delete(name: string): void {
    this.#keys.delete(name)
  }

  /** developer.hashicorp.com/vault/api-docs/secret/transit#read-key */
  read(name: string): object {
    const key = this.#keys.get(name)
    if (key === undefined) throw new VaultRefusal(404, [])
    return {
      type: 'aes256-gcm96',
      deletion_allowed: false,
      derived: false,
      exportable: false,
      allow_plaintext_backup: false,
      keys: Object.fromEntries(key.versions.map(({ created }, at) => [String(at + 1), created])),
      latest_version: key.versions.length,
      min_decryption_version: key.minDecryptionVersion,
      min_encryption_version: 0,
      name,
      supports_encryption: true,
      supports_decryption: true,
      supports_derivation: true,
      supports_signing: false,
      imported: false,
    }
  }

  /**
   * developer.hashicorp.com/vault/api-docs/secret/transit#encrypt-data
   *
   * `{"plaintext":"dGhlIHF1aWNrIGJyb3duIGZveAo="}` is answered with
   * `{"data":{"ciphertext":"vault:v1:XjsPWPjqPrBi1N2Ms2s1QM798YyFWnO4TR4lsFA="}}`. Newer servers add `key_version`. The
   * bytes behind the second colon are the nonce, the ciphertext and the tag; clients have no use for that.
   */
  encrypt(name: string, body: Readonly<Record<string, unknown>>): object {
    const { plaintext } = body
    if (typeof plaintext !== 'string') throw new VaultRefusal(400, ['missing plaintext to encrypt'])
    const key = this.#key(name)
    const bytes = decodeBase64(plaintext, 'failed to base64-decode plaintext')
    const version = key.versions.length
    const nonce = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', secretOf(key, version), nonce)
    const sealed = Buffer.concat([nonce, cipher.update(bytes), cipher.final(), cipher.getAuthTag()])
    return { ciphertext: `vault:v${version}:${sealed.toString('base64')}`, key_version: version }
  }

  /**
   * developer.hashicorp.com/vault/api-docs/secret/transit#decrypt-data
   *
   * `{"ciphertext":"vault:v1:XjsPWPjqPrBi1N2Ms2s1QM798YyFWnO4TR4lsFA="}` is answered with
   * `{"data":{"plaintext":"dGhlIHF1aWNrIGJyb3duIGZveAo="}}`.
   */
  decrypt(name: string, body: Readonly<Record<string, unknown>>): object {
    const { ciphertext } = body
    if (typeof ciphertext !== 'string' || ciphertext === '') {
      throw new VaultRefusal(400, ['missing ciphertext to decrypt'])
    }
    const key = this.#key(name)
    if (!ciphertext.startsWith('vault:v')) throw new VaultRefusal(400, ['invalid ciphertext: no prefix'])
    const [number = '', encoded] = ciphertext.slice('vault:v'.length).split(':', 2)
    if (encoded === undefined) throw new VaultRefusal(400, ['invalid ciphertext: wrong number of fields'])
    if (!/^\d+$/.test(number)) {
      throw new VaultRefusal(400, ['invalid ciphertext: version number could not be decoded'])
    }
    const version = Math.max(1, Number(number))
    if (version > key.versions.length) throw new VaultRefusal(400, ['invalid ciphertext: version is too new'])
    if (version < key.minDecryptionVersion) {
      throw new VaultRefusal(400, ['ciphertext or signature version is disallowed by policy (too old)'])
    }
    const sealed = decodeBase64(encoded, 'invalid ciphertext: could not decode base64')
    if (sealed.length < 28) throw new VaultRefusal(400, ['invalid ciphertext length'])
    return { plaintext: open(secretOf(key, version), sealed).toString('base64') }
  }

  #key(name: string): TransitKey {
    const key = this.#keys.get(name)
    if (key === undefined) throw new VaultRefusal(400, ['encryption key not found'])
    return key
  }
}

interface TransitKey {
  readonly versions: TransitVersion[]
  minDecryptionVersion: number
}

interface TransitVersion {
  readonly secret: Buffer
  /** Unix seconds. */
  readonly created: number
}

function newVersion(): TransitVersion {
  return { secret: randomBytes(32), created: Math.floor(Date.now() / 1000) }
}

function secretOf(key: TransitKey, version: number): Buffer {
  const found = key.versions[version - 1]
  if (found === undefined) throw new Error(`the key has no version ${version}`)
  return found.secret
}

function open(secret: Buffer, sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', secret, sealed.subarray(0, 12))
  decipher.setAuthTag(sealed.subarray(-16))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
  } catch (error) {
    throw new VaultRefusal(400, ['cipher: message authentication failed'], { cause: error })
  }
}

function decodeBase64(text: string, complaint: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new VaultRefusal(400, [complaint])
  return bytes
}
