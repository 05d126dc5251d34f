/**
 * The dimensions of the state table. Nothing is left out: every combination can exist, because rows change behind a
 * process's back (an operator revokes, deletes or damages one) and dates are whatever the process that wrote them had.
 */

/** How a key's row is found, and what wraps it. */
export const rowStates = [
  'absent',
  'valid',
  'expired',
  'revoked',
  /** An intermediate key: its system key has no row. A system key: sealed under a master key that this KMS has not. */
  'parent missing',
  /** An intermediate key: its system key's row is damaged. A system key: its own is, so that the KMS refuses it. */
  'parent corrupt',
] as const

/** An intermediate key's row may be damaged as well: it does not open under its parent. */
export const intermediateStates = [...rowStates, 'corrupt'] as const

/** What the process has in memory. */
export const ringStates = [
  'fresh',
  'due',
  'overdue',
  'not in the ring',
  /** Another partition brought the service's system key, a while ago. */
  'only the system key, fresh',
  'only the system key, due',
] as const

export const forms = [
  { call: 'synchronous', backends: 'at once' },
  { call: 'asynchronous', backends: 'later' },
  /** Out of the bridge's reach, so that a call that has to wait cannot. */
  { call: 'synchronous', backends: 'later' },
] as const

export interface Case {
  /** The partition's only intermediate key; a record sealed under it is what `decrypt` is given. */
  readonly intermediateKey: (typeof intermediateStates)[number]
  /** The service's latest system key. It is the intermediate key's parent, but for the two states that name another. */
  readonly systemKey: (typeof rowStates)[number]
  readonly ring: (typeof ringStates)[number]
  readonly operation: 'encrypt' | 'decrypt'
  readonly metastore: 'up' | 'down'
  readonly kms: 'up' | 'down'
  readonly form: (typeof forms)[number]
}

export type Group = Pick<Case, 'operation' | 'ring' | 'form'>

export function* groups(): Generator<Group> {
  for (const operation of ['encrypt', 'decrypt'] as const)
    for (const ring of ringStates) for (const form of forms) yield { operation, ring, form }
}

export function* casesOf(group: Group): Generator<Case> {
  for (const intermediateKey of intermediateStates)
    for (const systemKey of rowStates)
      for (const metastore of ['up', 'down'] as const)
        for (const kms of ['up', 'down'] as const)
          yield { ...group, intermediateKey, systemKey, metastore, kms }
}
