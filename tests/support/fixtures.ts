import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

/** One record that another implementation wrote, with the key rows that read it. */
export interface FixtureCase {
  readonly name: string
  readonly writer: string
  readonly metastore: 'mysql' | 'dynamodb'
  readonly regionSuffix: string | undefined
  readonly kms: 'static'
  readonly masterKeyHex: string
  readonly service: string
  readonly product: string
  readonly partition: string
  readonly plaintext: Buffer
  /** The DataRowRecord JSON exactly as it was written. */
  readonly record: string
  readonly rows: readonly FixtureRow[]
}

export interface FixtureRow {
  readonly id: string
  /** Unix seconds. */
  readonly created: number
  /** The stored text; for a DynamoDB item, the text with the same members. */
  readonly keyRecord: string
  /** The DynamoDB item as it was stored. */
  readonly item: unknown
}

const files = ['canonical-go.json', 'rust-core.json'] as const

/** All cases of `tests/fixtures`, in the order of the files. */
export function loadCases(): readonly FixtureCase[] {
  return files.flatMap((file) => {
    const text = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8')
    const cases: unknown = JSON.parse(text)
    assert.ok(Array.isArray(cases) && cases.length > 0, `${file} is a list of cases`)
    return cases.map(toCase)
  })
}

function toCase(value: unknown): FixtureCase {
  const name = string(value, 'name')
  const metastore = string(value, 'metastore')
  assert.ok(metastore === 'mysql' || metastore === 'dynamodb', `${name}: metastore ${metastore}`)
  const kms = string(value, 'kms')
  assert.equal(kms, 'static', name)
  const suffix = member(value, 'regionSuffix')
  assert.ok(suffix === null || (typeof suffix === 'string' && suffix !== ''), name)
  const rows = member(value, 'rows')
  assert.ok(Array.isArray(rows) && rows.length >= 2, `${name}: rows`)
  return {
    name,
    writer: string(value, 'writer'),
    metastore,
    regionSuffix: suffix ?? undefined,
    kms: 'static',
    masterKeyHex: string(value, 'masterKeyHex'),
    service: string(value, 'service'),
    product: string(value, 'product'),
    partition: string(value, 'partition'),
    plaintext: Buffer.from(string(value, 'plaintextBase64'), 'base64'),
    record: string(value, 'record'),
    rows: rows.map(toRow),
  }
}

function toRow(value: unknown): FixtureRow {
  const created = member(value, 'created')
  assert.ok(typeof created === 'number' && Number.isSafeInteger(created))
  const item = member(value, 'item')
  return {
    id: string(value, 'id'),
    created,
    keyRecord:
      item === undefined ? string(value, 'keyRecord') : JSON.stringify(plain(member(item, 'KeyRecord'))),
    item,
  }
}

/** The value of a DynamoDB attribute: `{"S":"x"}` is `"x"`. */
function plain(attribute: unknown): unknown {
  assert.ok(typeof attribute === 'object' && attribute !== null)
  const [[type, value] = [], ...more] = Object.entries(attribute)
  assert.equal(more.length, 0, 'an attribute has one type')
  if (type === 'S' && typeof value === 'string') return value
  if (type === 'N' && typeof value === 'string') return Number(value)
  if (type === 'BOOL' && typeof value === 'boolean') return value
  assert.ok(type === 'M' && typeof value === 'object' && value !== null, `an attribute of type ${type}`)
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

function member(value: unknown, name: string): unknown {
  assert.ok(typeof value === 'object' && value !== null)
  return (value as Readonly<Record<string, unknown>>)[name]
}

function string(value: unknown, name: string): string {
  const found = member(value, name)
  assert.ok(typeof found === 'string', `${name} is a string`)
  return found
}
