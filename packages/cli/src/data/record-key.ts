import type { KeyMeta } from 'asherah/admin'

/** The intermediate key that a record names, unauthenticated; undefined when the text is no record. */
export function keyOfRecord(text: string): KeyMeta | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { KeyId: keyId, Created: created } = member(member(value, 'Key'), 'ParentKeyMeta') as {
    readonly KeyId?: unknown
    readonly Created?: unknown
  }
  return typeof keyId === 'string' && Number.isSafeInteger(created)
    ? { keyId, created: created as number }
    : undefined
}

function member(value: unknown, name: string): object {
  const found: unknown =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
  return typeof found === 'object' && found !== null ? found : {}
}
