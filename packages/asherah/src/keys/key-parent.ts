import type { Work } from '../engine/work.ts'
import type { EnvelopeKeyRecord, KeyMeta } from '../metastore/metastore.ts'
import type { KeyHandle } from '../native/binding.ts'
import type { Freshness } from './rotation-policy.ts'

/** A key as its parent sealed it, ready for a row. */
export interface SealedKey {
  readonly encryptedKey: Uint8Array
  readonly parentKeyMeta?: KeyMeta
  readonly bounds: ParentBounds
}

/** How long a key may be used for encryption, and left unchecked, because of its parent. */
export interface ParentBounds {
  /** Wall-clock milliseconds until which the parent lets its children encrypt. */
  readonly expiresAtMs: number
  /** When the parent itself is to be checked again; undefined when it never is. */
  readonly freshness: Freshness | undefined
}

/** Whether a row's parent lets the row's key encrypt. */
export type ParentState =
  | { readonly kind: 'usable'; readonly bounds: ParentBounds }
  /** It is expired or revoked: its children decrypt, but encrypt no more. */
  | { readonly kind: 'retired' }
  /** Its row is not in the metastore. */
  | { readonly kind: 'missing' }
  /** The row names a parent that is none of this service's. */
  | { readonly kind: 'foreign' }

/** A row's key together with its parent's state. */
export interface OpenedKey {
  readonly parent: ParentState
  /** The taker's to release. Undefined: the parent is missing or foreign, or the key does not open under it. */
  readonly key: KeyHandle | undefined
}

/**
 * What wraps the keys of one level of the hierarchy: the KMS for system keys, a system key for intermediate keys. A KMS or
 * metastore that cannot be reached is thrown, and never looks like one of the states above.
 */
export interface KeyParent {
  /** Seals a new key under the parent's latest generation, making one where there is none. */
  seal(key: KeyHandle): Work<SealedKey>
  state(row: EnvelopeKeyRecord): Work<ParentState>
  open(row: EnvelopeKeyRecord): Work<OpenedKey>
}
