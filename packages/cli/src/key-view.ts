import type { Config, KeyMeta, KeyRow, ServiceKeyIds } from 'asherah/admin'
import { printable } from './printable.ts'
import { shownAge, shownTime } from './times.ts'

export type KeyState = 'valid' | 'expired' | 'revoked'

/** A key as the command shows it; nothing of its bytes. */
export interface KeyView {
  readonly kind: 'system' | 'intermediate' | 'other'
  readonly keyId: string
  /** Unix seconds. */
  readonly created: number
  readonly createdAt: string
  readonly age: string
  readonly state: KeyState
  readonly partition?: string
  readonly suffix?: string
  readonly parent?: KeyMeta
}

/** Whether a key may encrypt: by its own row, and this configuration's `expireAfter`. */
export function stateOf({ record }: Pick<KeyRow, 'record'>, { policy }: Config, now = Date.now()): KeyState {
  if (record.revoked === true) return 'revoked'
  return now < (record.created + policy.expireAfterSeconds) * 1000 ? 'valid' : 'expired'
}

export function keyView(row: KeyRow, ids: ServiceKeyIds, config: Config): KeyView {
  const { keyId, created, record } = row
  const { kind = 'other', partitionId, suffix = '' } = ids.identify(keyId) ?? {}
  return {
    kind,
    keyId,
    created,
    createdAt: shownTime(created),
    age: shownAge(created),
    state: stateOf(row, config),
    ...(partitionId !== undefined && { partition: partitionId }),
    ...(suffix !== '' && { suffix }),
    ...(record.parentKeyMeta !== undefined && { parent: record.parentKeyMeta }),
  }
}

/** One line, the id last since it is the longest. */
export function keyLine({ kind, createdAt, age, state, keyId }: KeyView): string {
  return `${kind.padEnd(12)}  ${createdAt}  ${age.padEnd(8)}  ${state.padEnd(7)}  ${printable(keyId)}`
}
