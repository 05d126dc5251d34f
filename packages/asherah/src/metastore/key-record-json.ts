import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord, KeyMeta } from './metastore.ts'

/** Most bytes of a wrapped key: what a KMS returned for a system key, with room for dozens of AWS regions. */
export const maxWrappedKeyBytes = 64 * 1024
/** Most UTF-16 units of a stored row: the base64 of the largest wrapped key, an escaped parent id, unknown members. */
export const maxRowLength = 256 * 1024

/**
 * The JSON text of a row, as contract section 2.3 gives it: Go's member order, `Revoked` only when true, `ParentKeyMeta`
 * only when there is one, nothing escaped that JSON lets stand.
 *
 * @throws AsherahError `ERR_METASTORE_ROW_MALFORMED` when {@link decodeKeyRecord} would refuse the row.
 */
export function encodeKeyRecord(keyId: string, created: number, record: EnvelopeKeyRecord): string {
  checkKeyRecord(keyId, created, record)
  const { encryptedKey, parentKeyMeta } = record
  const text = JSON.stringify({
    ...(record.revoked === true && { Revoked: true }),
    Created: created,
    Key: Buffer.from(encryptedKey.buffer, encryptedKey.byteOffset, encryptedKey.byteLength).toString(
      'base64',
    ),
    ...(parentKeyMeta !== undefined && {
      ParentKeyMeta: { KeyId: parentKeyMeta.keyId, Created: parentKeyMeta.created },
    }),
  })
  if (text.length > maxRowLength)
    throw rowMalformed(keyId, created, `is longer than ${maxRowLength} characters`)
  return text
}

/**
 * Reads a row of any writer: members in any order, white space, escapes, unknown members, `Revoked` and `ParentKeyMeta`
 * absent or null. Strict where leniency would hide damage: whole-number times, canonical base64, no member twice, and
 * `Created` equal to the row's own `created` (Unix seconds).
 *
 * @throws AsherahError `ERR_METASTORE_ROW_MALFORMED`, which names the row and never quotes it.
 */
export function decodeKeyRecord(keyId: string, created: number, text: string): EnvelopeKeyRecord {
  const refuse = (reason: string): AsherahError => rowMalformed(keyId, created, reason)
  if (text.length > maxRowLength) throw refuse(`is longer than ${maxRowLength} characters`)
  // The parser's own error quotes the text, so it does not become the cause.
  if (!isJson(text)) throw refuse('is not JSON')
  const row = members(text)
  if (row === undefined) throw refuse('is not a JSON object, or has a member twice')

  if (wholeNumber(row.get('Created')) !== created) {
    throw refuse(row.has('Created') ? "has a 'Created' other than its row's time" : "has no 'Created'")
  }
  const encryptedKey = canonicalBase64(row.get('Key'))
  if (encryptedKey === undefined) throw refuse("has no 'Key' in canonical base64")
  if (encryptedKey.length > maxWrappedKeyBytes)
    throw refuse(`has a 'Key' of more than ${maxWrappedKeyBytes} bytes`)

  const revoked = row.get('Revoked') ?? 'null'
  if (revoked !== 'true' && revoked !== 'false' && revoked !== 'null') {
    throw refuse("has a 'Revoked' that is not a boolean")
  }
  const parent = row.get('ParentKeyMeta') ?? 'null'
  const parentKeyMeta = parent === 'null' ? undefined : keyMeta(parent)
  if (parent !== 'null' && parentKeyMeta === undefined) throw refuse("has a malformed 'ParentKeyMeta'")

  return {
    created,
    encryptedKey,
    ...(parentKeyMeta !== undefined && { parentKeyMeta }),
    ...(revoked === 'true' && { revoked: true }),
  }
}

/** Refuses a row that could be written but not be read again. */
export function checkKeyRecord(keyId: string, created: number, record: EnvelopeKeyRecord): void {
  const refuse = (reason: string): AsherahError => rowMalformed(keyId, created, reason)
  if (!Number.isSafeInteger(created)) throw refuse('has a time that is not a whole number of seconds')
  if (record.created !== created) throw refuse("has a 'Created' other than its row's time")
  if (!(record.encryptedKey instanceof Uint8Array) || record.encryptedKey.length === 0)
    throw refuse("has no 'Key'")
  if (record.encryptedKey.length > maxWrappedKeyBytes) {
    throw refuse(`has a 'Key' of more than ${maxWrappedKeyBytes} bytes`)
  }
  const parent = record.parentKeyMeta
  if (parent !== undefined && !(isKeyId(parent.keyId) && Number.isSafeInteger(parent.created))) {
    throw refuse("has a malformed 'ParentKeyMeta'")
  }
}

/** Whether every store can tell this id from all others: text with a lone surrogate loses it on the way to UTF-8. */
export function isKeyId(keyId: string): boolean {
  return keyId !== '' && keyId.isWellFormed()
}

/** The error for a row that cannot be understood; `created` is its time in Unix seconds, or the text that stands for it. */
export function rowMalformed(keyId: string, created: number | string, reason: string): AsherahError {
  return new AsherahError(
    'ERR_METASTORE_ROW_MALFORMED',
    `The key record ${JSON.stringify(keyId)} created ${created} ${reason}. Restore it from a backup: what was encrypted ` +
      'under it cannot be read without it.',
  )
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const tokens = /"(?:[^"\\]+|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g

/**
 * The members of a JSON object by name, each value as its own source text, so that `1.0` is still told from `1`.
 * Undefined for another JSON value or when a name occurs twice. `text` must be valid JSON: then tokens and depth are
 * enough to find where values begin and end.
 */
function members(text: string): Map<string, string> | undefined {
  const found = new Map<string, string>()
  let depth = 0
  let name: string | undefined
  let start = 0
  for (const { 0: token, index } of text.matchAll(tokens)) {
    if (depth === 0 && token !== '{') return undefined
    if (token === '}' || token === ']') depth -= 1
    if (depth === 1 && token !== ':' && token !== ',') {
      if (name === undefined) {
        name = JSON.parse(token) as string
        if (found.has(name)) return undefined
        continue
      }
      const closes = token === '}' || token === ']'
      if (token === '{' || token === '[') start = index
      else {
        found.set(name, closes ? text.slice(start, index + 1) : token)
        name = undefined
      }
    }
    if (token === '{' || token === '[') depth += 1
  }
  return found
}

function wholeNumber(source: string | undefined): number | undefined {
  if (source === undefined || !/^(?:0|-?[1-9]\d*)$/.test(source)) return undefined
  const value = Number(source)
  return Number.isSafeInteger(value) ? value : undefined
}

function canonicalBase64(source: string | undefined): Uint8Array | undefined {
  if (source === undefined || !source.startsWith('"')) return undefined
  const text = JSON.parse(source) as string
  const bytes = Buffer.from(text, 'base64')
  // Node's decoder forgives everything; only the canonical text is what the bytes encode to.
  if (bytes.length === 0 || bytes.toString('base64') !== text) return undefined
  return new Uint8Array(bytes)
}

function keyMeta(source: string): KeyMeta | undefined {
  const meta = members(source)
  const id = meta?.get('KeyId')
  const created = wholeNumber(meta?.get('Created'))
  if (created === undefined || id === undefined || !id.startsWith('"')) return undefined
  const keyId = JSON.parse(id) as string
  return isKeyId(keyId) ? { keyId, created } : undefined
}
