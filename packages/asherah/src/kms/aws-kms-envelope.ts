import { AsherahError } from '../errors.ts'
import { wrappedKeyBytes } from '../record-fields.ts'

/** The data key of one system key as one region's KMS sealed it. */
export interface RegionKek {
  readonly region: string
  /** For people; nothing is decided by it. */
  readonly arn: string
  readonly encryptedKek: Uint8Array
}

/** What AWS KMS leaves of a system key (contract section 2.5.1). */
export interface AwsKmsEnvelope {
  /** AEAD(system key, data key), 60 bytes. */
  readonly encryptedKey: Uint8Array
  /** In no particular order; a region that failed is missing. */
  readonly kmsKeks: readonly RegionKek[]
}

/** The envelope's JSON text as the bytes that a row keeps. */
export function encodeEnvelope(envelope: AwsKmsEnvelope): Uint8Array {
  const text = JSON.stringify({
    encryptedKey: toBase64(envelope.encryptedKey),
    kmsKeks: envelope.kmsKeks.map(({ region, arn, encryptedKek }) => ({
      region,
      arn,
      encryptedKek: toBase64(encryptedKek),
    })),
  })
  return new TextEncoder().encode(text)
}

/**
 * Reads an envelope of any writer: members in any order, unknown ones ignored, a region's entry that cannot be used left
 * out.
 *
 * @throws AsherahError `ERR_KMS`, which quotes nothing of it.
 */
export function decodeEnvelope(bytes: Uint8Array): AwsKmsEnvelope {
  const { encryptedKey: sealed, kmsKeks } = parsed(bytes) as Record<string, unknown>
  const encryptedKey = fromBase64(sealed)
  if (encryptedKey?.length !== wrappedKeyBytes) throw malformed("has no 'encryptedKey' of 60 bytes in base64")
  if (!Array.isArray(kmsKeks)) throw malformed("has no list 'kmsKeks'")
  return { encryptedKey, kmsKeks: kmsKeks.flatMap(regionKek) }
}

function parsed(bytes: Uint8Array): object {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    // The parser's own error quotes the text, so it does not become the cause.
    throw malformed('is not JSON')
  }
  if (typeof value === 'object' && value !== null) return value
  throw malformed('is not a JSON object')
}

function regionKek(value: unknown): RegionKek[] {
  if (typeof value !== 'object' || value === null) return []
  const { region, arn, encryptedKek: blob } = value as Record<string, unknown>
  const encryptedKek = fromBase64(blob)
  if (typeof region !== 'string' || encryptedKek === undefined) return []
  return [{ region, arn: typeof arn === 'string' ? arn : '', encryptedKek }]
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function fromBase64(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string') return undefined
  const bytes = Buffer.from(value, 'base64')
  // Node's decoder forgives everything; only the canonical text is what the bytes encode to.
  return bytes.length > 0 && bytes.toString('base64') === value ? bytes : undefined
}

function malformed(reason: string): AsherahError {
  return new AsherahError(
    'ERR_KMS',
    `A system key's AWS KMS envelope ${reason}. Was it written with another KMS? Configure the KMS that this metastore was ` +
      'written with, or restore the row from a backup.',
  )
}
