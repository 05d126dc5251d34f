/**
 * A second implementation of the formats, for tests: plain `node:crypto`, and nothing of the library's own code. It is
 * written from contract sections 1 and 2 alone; where the library and the oracle disagree, one of them is wrong.
 */
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** A key row as a metastore keeps it. */
export interface OracleRow {
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  /** The JSON text of contract section 2.3. */
  readonly keyRecord: string
}

/** What unwraps system keys: the hex of a static master key, or what stands for another KMS. */
export type OracleMaster = string | ((wrapped: Buffer) => Buffer)

export interface OracleAnswer {
  readonly systemKey: Buffer
  readonly intermediateKey: Buffer
  readonly dataRowKey: Buffer
  readonly plaintext: Buffer
}

/** `ciphertext ‖ tag(16) ‖ nonce(12)`, AES-256-GCM without additional data (contract section 2.1). */
export function seal(plaintext: Uint8Array, key: Uint8Array, nonce: Uint8Array = randomBytes(12)): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag(), nonce])
}

/** The opposite of {@link seal}. Throws when the tag does not match. */
export function unseal(sealed: Uint8Array, key: Uint8Array): Buffer {
  assert.ok(sealed.length >= 28, 'sealed bytes have a tag and a nonce')
  const end = sealed.length - 28
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(end + 16), { authTagLength: 16 })
  decipher.setAuthTag(sealed.subarray(end, end + 16))
  return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()])
}

/** Decrypts a DataRowRecord with the rows that its own metadata, and that of its intermediate key, names. */
export function decryptRecord(master: OracleMaster, rows: Iterable<OracleRow>, record: string): Buffer {
  return explainRecord(master, rows, record).plaintext
}

/** As {@link decryptRecord}, with every key on the way. */
export function explainRecord(master: OracleMaster, rows: Iterable<OracleRow>, record: string): OracleAnswer {
  const all = [...rows]
  const drr = asObject(JSON.parse(record))
  const key = asObject(drr['Key'])
  wholeNumber(key, 'Created')
  const { row: intermediateRow, meta: intermediateMeta } = parentRow(all, key)
  assert.ok(intermediateMeta.keyId.startsWith('_IK_'), `${intermediateMeta.keyId} is an intermediate key`)
  const { row: systemRow, meta: systemMeta } = parentRow(all, intermediateRow)
  assert.ok(systemMeta.keyId.startsWith('_SK_'), `${systemMeta.keyId} is a system key`)
  assert.ok((systemRow['ParentKeyMeta'] ?? null) === null, 'a system key has no parent')

  const wrapped = bytes(systemRow, 'Key')
  const systemKey = typeof master === 'string' ? unseal(wrapped, Buffer.from(master, 'hex')) : master(wrapped)
  assert.equal(systemKey.length, 32)
  const intermediateKey = unseal(bytes(intermediateRow, 'Key'), systemKey)
  assert.equal(intermediateKey.length, 32)
  const dataRowKey = unseal(bytes(key, 'Key'), intermediateKey)
  assert.equal(dataRowKey.length, 32)
  return { systemKey, intermediateKey, dataRowKey, plaintext: unseal(bytes(drr, 'Data'), dataRowKey) }
}

/**
 * How the JSON is written. `rust`: minimal escapes, Go's order. `go`: `<>&` and U+2028/9 escaped. `python`: ASCII only,
 * with blanks. `csharp`: C#'s order, `Revoked` always. `java`: a hash map's order, `Revoked` always. `mysql`: as a JSON
 * column gives it back, shortest names first, with blanks.
 */
export type JsonStyle = 'rust' | 'go' | 'python' | 'csharp' | 'java' | 'mysql'
export const jsonStyles: readonly JsonStyle[] = ['rust', 'go', 'python', 'csharp', 'java', 'mysql']

export interface KeyOptions {
  /** A static master key in hex, or what stands for another KMS. */
  readonly master: string | ((systemKey: Buffer) => Buffer)
  readonly service: string
  readonly product: string
  readonly partition: string
  /** Appended to both ids. */
  readonly suffix?: string
  /** Unix seconds. */
  readonly systemCreated: number
  /** Unix seconds. */
  readonly intermediateCreated: number
  readonly systemRevoked?: boolean
  readonly intermediateRevoked?: boolean
  readonly style?: JsonStyle
  /** A system key made before, to put another intermediate key under it. */
  readonly under?: OracleKeys
}

/** A chain of keys in clear, and its rows. */
export interface OracleKeys {
  readonly systemKey: Buffer
  readonly systemKeyId: string
  readonly systemCreated: number
  readonly intermediateKey: Buffer
  readonly intermediateKeyId: string
  readonly intermediateCreated: number
  /** The intermediate key's row, then the system key's. */
  readonly rows: readonly [intermediate: OracleRow, system: OracleRow]
}

/** Makes a system key and an intermediate key as another implementation would. */
export function createKeys(options: KeyOptions): OracleKeys {
  const {
    service,
    product,
    partition,
    suffix = '',
    master,
    style = 'rust',
    under,
    intermediateCreated,
  } = options
  const tail = suffix === '' ? '' : `_${suffix}`
  const systemCreated = under?.systemCreated ?? options.systemCreated
  const systemKeyId = under?.systemKeyId ?? `_SK_${service}_${product}${tail}`
  const systemKey = under?.systemKey ?? randomBytes(32)
  const intermediateKeyId = `_IK_${partition}_${service}_${product}${tail}`
  const intermediateKey = randomBytes(32)

  const wrapped = typeof master === 'string' ? seal(systemKey, Buffer.from(master, 'hex')) : master(systemKey)
  const system: OracleRow = under?.rows[1] ?? {
    id: systemKeyId,
    created: systemCreated,
    keyRecord: writeJson(envelope(systemCreated, wrapped, undefined, options.systemRevoked, style), style),
  }
  const intermediate: OracleRow = {
    id: intermediateKeyId,
    created: intermediateCreated,
    keyRecord: writeJson(
      envelope(
        intermediateCreated,
        seal(intermediateKey, systemKey),
        [systemKeyId, systemCreated],
        options.intermediateRevoked,
        style,
      ),
      style,
    ),
  }
  return {
    systemKey,
    systemKeyId,
    systemCreated,
    intermediateKey,
    intermediateKeyId,
    intermediateCreated,
    rows: [intermediate, system],
  }
}

export interface RecordOptions {
  /** Unix seconds; the time of the data row key. */
  readonly created: number
  readonly style?: JsonStyle
}

/** Makes a DataRowRecord under the chain's intermediate key. */
export function encryptRecord(keys: OracleKeys, plaintext: Uint8Array, options: RecordOptions): string {
  const style = options.style ?? 'rust'
  const dataRowKey = randomBytes(32)
  const parent = [keys.intermediateKeyId, keys.intermediateCreated] as const
  const key = envelope(
    options.created,
    seal(dataRowKey, keys.intermediateKey),
    parent,
    undefined,
    style,
    false,
  )
  const data: Member = ['Data', seal(plaintext, dataRowKey).toString('base64')]
  return writeJson(
    style === 'csharp' || style === 'java' ? [data, ['Key', key]] : [['Key', key], data],
    style,
  )
}

/** Asserts that a record is, to the byte, what contract section 2.2 asks of a writer. */
export function assertExactRecord(record: string): void {
  const drr = asObject(JSON.parse(record))
  const key = asObject(drr['Key'])
  const parent = asObject(key['ParentKeyMeta'])
  assert.equal(bytes(key, 'Key').length, 60)
  const { keyId, created } = keyMeta(parent)
  const exact = {
    Key: {
      Created: wholeNumber(key, 'Created'),
      Key: key['Key'],
      ParentKeyMeta: { KeyId: keyId, Created: created },
    },
    Data: bytes(drr, 'Data').toString('base64'),
  }
  assert.equal(record, JSON.stringify(exact))
}

/** Asserts that a key row is, to the byte, what contract section 2.3 asks of a writer, and belongs to its row key. */
export function assertExactKeyRow(row: OracleRow): void {
  const key = asObject(JSON.parse(row.keyRecord))
  const created = wholeNumber(key, 'Created')
  assert.equal(created, row.created)
  const revoked = key['Revoked'] === true
  const Key = bytes(key, 'Key').toString('base64')
  const head = { ...(revoked && { Revoked: true }), Created: created, Key }
  if (row.id.startsWith('_SK_')) {
    assert.equal(row.keyRecord, JSON.stringify(head))
    return
  }
  assert.ok(row.id.startsWith('_IK_'))
  assert.equal(bytes(key, 'Key').length, 60)
  const parent = keyMeta(asObject(key['ParentKeyMeta']))
  assert.equal(
    row.keyRecord,
    JSON.stringify({ ...head, ParentKeyMeta: { KeyId: parent.keyId, Created: parent.created } }),
  )
}

export interface AwsEnvelope {
  /** AEAD of the system key under the data key. */
  readonly encryptedKey: Buffer
  /** By region. */
  readonly kmsKeks: ReadonlyMap<string, { readonly arn: string; readonly encryptedKek: Buffer }>
}

/** Reads the KMS output of contract section 2.5.1 (what the `Key` of a system key row decodes to). */
export function readAwsEnvelope(text: string): AwsEnvelope {
  const envelope = asObject(JSON.parse(text))
  const keks = envelope['kmsKeks']
  assert.ok(Array.isArray(keks))
  const kmsKeks = new Map<string, { arn: string; encryptedKek: Buffer }>()
  for (const entry of keks.map(asObject)) {
    const region = string(entry, 'region')
    assert.ok(!kmsKeks.has(region), `region ${region} occurs once`)
    kmsKeks.set(region, { arn: string(entry, 'arn'), encryptedKek: bytes(entry, 'encryptedKek') })
  }
  return { encryptedKey: bytes(envelope, 'encryptedKey'), kmsKeks }
}

/** The system key of an AWS envelope whose data key is known. */
export function openAwsEnvelope(text: string, dataKey: Uint8Array): Buffer {
  return unseal(readAwsEnvelope(text).encryptedKey, dataKey)
}

type Member = readonly [name: string, value: string | number | boolean | null | readonly Member[]]

function envelope(
  created: number,
  wrapped: Buffer,
  parent: readonly [keyId: string, created: number] | undefined,
  revoked: boolean | undefined,
  style: JsonStyle,
  isRow = true,
): Member[] {
  const members: Member[] = [
    ['Created', created],
    ['Key', wrapped.toString('base64')],
  ]
  const always = isRow && (style === 'csharp' || style === 'java')
  const revokedMember: Member[] = revoked === true ? [['Revoked', true]] : always ? [['Revoked', false]] : []
  const meta: Member[] =
    parent === undefined
      ? []
      : [
          [
            'ParentKeyMeta',
            [
              ['KeyId', parent[0]],
              ['Created', parent[1]],
            ],
          ],
        ]
  switch (style) {
    case 'csharp':
      return [...members, ...meta, ...revokedMember]
    case 'java':
      return [...meta, ...revokedMember, ...members.toReversed()]
    case 'mysql':
      return [...members.toReversed(), ...revokedMember, ...meta]
    default:
      return [...revokedMember, ...members, ...meta]
  }
}

function writeJson(value: Member[1], style: JsonStyle): string {
  if (typeof value === 'string') return writeString(value, style)
  if (!Array.isArray(value)) return String(value)
  const blank = style === 'python' || style === 'mysql' ? ' ' : ''
  const members = value as readonly Member[]
  return `{${members.map(([name, inner]) => `"${name}":${blank}${writeJson(inner, style)}`).join(`,${blank}`)}}`
}

function writeString(value: string, style: JsonStyle): string {
  const text = JSON.stringify(value)
  const unicode = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  if (style === 'go') return text.replace(/[<>&\u2028\u2029]/g, unicode)
  // C#'s default encoder also escapes quotes, plus signs and everything outside ASCII by number.
  if (style === 'csharp') return text.replaceAll('\\"', '\\u0022').replace(/[<>&'+`\u007f-\uffff]/g, unicode)
  if (style === 'python') return text.replace(/[\u007f-\uffff]/g, unicode)
  if (style === 'java') return text.replaceAll('/', '\\/')
  return text
}

function parentRow(rows: readonly OracleRow[], child: Readonly<Record<string, unknown>>) {
  const meta = keyMeta(asObject(child['ParentKeyMeta']))
  const found = rows.find(({ id, created }) => id === meta.keyId && created === meta.created)
  assert.ok(found !== undefined, `there is a row ${meta.keyId} created ${meta.created}`)
  const row = asObject(JSON.parse(found.keyRecord))
  assert.equal(wholeNumber(row, 'Created'), found.created, "a row's own time is its Created")
  assert.ok([undefined, null, false, true].includes(row['Revoked'] as boolean | null | undefined))
  return { row, meta }
}

function keyMeta(meta: Readonly<Record<string, unknown>>): { keyId: string; created: number } {
  return { keyId: string(meta, 'KeyId'), created: wholeNumber(meta, 'Created') }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  assert.ok(typeof value === 'object' && value !== null && !Array.isArray(value), 'a JSON object')
  return value as Readonly<Record<string, unknown>>
}

function string(object: Readonly<Record<string, unknown>>, name: string): string {
  const value = object[name]
  assert.ok(typeof value === 'string', `${name} is a string`)
  return value
}

function wholeNumber(object: Readonly<Record<string, unknown>>, name: string): number {
  const value = object[name]
  assert.ok(typeof value === 'number' && Number.isSafeInteger(value), `${name} is a whole number`)
  return value
}

function bytes(object: Readonly<Record<string, unknown>>, name: string): Buffer {
  const text = string(object, name)
  assert.match(text, /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, `${name} is base64`)
  return Buffer.from(text, 'base64')
}
