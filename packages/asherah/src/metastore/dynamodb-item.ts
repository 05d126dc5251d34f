import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { checkKeyRecord, decodeKeyRecord, rowMalformed } from './key-record-json.ts'
import type { EnvelopeKeyRecord } from './metastore.ts'

export type Item = Record<string, AttributeValue>

/** The item of a row, as contract section 4.6 gives it: `ParentKeyMeta` only when there is one, `Revoked` only when true. */
export function encodeItem(keyId: string, created: number, record: EnvelopeKeyRecord): Item {
  checkKeyRecord(keyId, created, record)
  const { encryptedKey, parentKeyMeta: parent } = record
  const key = Buffer.from(encryptedKey.buffer, encryptedKey.byteOffset, encryptedKey.byteLength)
  return {
    Id: { S: keyId },
    Created: { N: String(created) },
    KeyRecord: {
      M: {
        ...(record.revoked === true && { Revoked: { BOOL: true } }),
        Created: { N: String(created) },
        Key: { S: key.toString('base64') },
        ...(parent !== undefined && {
          ParentKeyMeta: { M: { KeyId: { S: parent.keyId }, Created: { N: String(parent.created) } } },
        }),
      },
    },
  }
}

/**
 * Reads the `KeyRecord` of an item of any writer, as strictly as a row that is kept as text.
 *
 * @throws AsherahError `ERR_METASTORE_ROW_MALFORMED`, which names the row and never quotes it.
 */
export function decodeItem(keyId: string, created: number, item: Item): EnvelopeKeyRecord {
  const record = item['KeyRecord']?.M
  if (record === undefined) throw rowMalformed(keyId, created, "has no map 'KeyRecord'")
  const { Created, Key, ParentKeyMeta, Revoked } = record
  return decodeKeyRecord(
    keyId,
    created,
    jsonText({ M: withoutAbsent({ Created, Key, ParentKeyMeta, Revoked }) }),
  )
}

/** The time of the item's own sort key. */
export function createdOf(keyId: string, item: Item): number {
  const text = item['Created']?.N ?? ''
  const created = /^(?:0|-?[1-9]\d*)$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(created)) return created
  throw rowMalformed(keyId, 'at an unknown time', "has a 'Created' that is not a whole number of seconds")
}

/** What has no JSON form, such as a binary or a set, becomes a list, which no reader takes for a value. */
function jsonText(value: AttributeValue): string {
  if (value.S !== undefined) return JSON.stringify(value.S)
  if (value.N !== undefined)
    return /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value.N) ? value.N : '"no number"'
  if (value.BOOL !== undefined) return String(value.BOOL)
  if (value.NULL === true) return 'null'
  if (value.M === undefined) return '[]'
  const members = Object.entries(value.M).map(
    ([name, member]) => `${JSON.stringify(name)}:${jsonText(member)}`,
  )
  return `{${members.join(',')}}`
}

function withoutAbsent(members: Readonly<Record<string, AttributeValue | undefined>>): Item {
  return Object.fromEntries(
    Object.entries(members).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  )
}
