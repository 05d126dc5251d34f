import type { Clock } from '../clock.ts'
import type { KeyRing, RingKey } from '../engine/key-ring.ts'
import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord, KeyMeta } from '../metastore/metastore.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { unwrapKey, wrapKey } from '../native/wrap-key.ts'
import type { KeyIds } from './key-ids.ts'
import type { KeyLevel } from './key-level.ts'
import type { KeyParent, OpenedKey, ParentState, SealedKey } from './key-parent.ts'

/** A ring so small that it evicts the system key at once, this often in a row, is an error. */
const mostAttempts = 4

const foreign: ParentState = { kind: 'foreign' }
const missing: ParentState = { kind: 'missing' }
const retired: ParentState = { kind: 'retired' }

/** The parent of intermediate keys: this service's system keys, held in a ring of their own. */
export class SystemKeyParent implements KeyParent {
  readonly #native: NativeBinding
  readonly #level: KeyLevel
  readonly #ring: KeyRing
  readonly #ids: KeyIds
  readonly #clock: Clock

  constructor(parts: { native: NativeBinding; level: KeyLevel; ring: KeyRing; ids: KeyIds; clock: Clock }) {
    this.#native = parts.native
    this.#level = parts.level
    this.#ring = parts.ring
    this.#ids = parts.ids
    this.#clock = parts.clock
  }

  *seal(key: KeyHandle): Work<SealedKey> {
    const systemKey = yield* this.#latest()
    try {
      const encryptedKey = wrapKey(this.#native, key, systemKey.key)
      const { keyId, created, expiresAtMs, freshness } = systemKey
      return { encryptedKey, parentKeyMeta: { keyId, created }, bounds: { expiresAtMs, freshness } }
    } finally {
      this.#native.keyRelease(systemKey.key)
    }
  }

  *state(row: EnvelopeKeyRecord): Work<ParentState> {
    const meta = this.#parentOf(row)
    if (meta === undefined) return foreign
    const systemKey = yield* this.#exact(meta)
    if (systemKey === undefined) return missing
    this.#native.keyRelease(systemKey.key)
    return this.#stateOf(systemKey)
  }

  *open(row: EnvelopeKeyRecord): Work<OpenedKey> {
    const meta = this.#parentOf(row)
    if (meta === undefined) return { parent: foreign, key: undefined }
    const systemKey = yield* this.#exact(meta)
    if (systemKey === undefined) return { parent: missing, key: undefined }
    try {
      const key = unwrapKey(this.#native, row.encryptedKey, systemKey.key)
      return { parent: this.#stateOf(systemKey), key }
    } finally {
      this.#native.keyRelease(systemKey.key)
    }
  }

  /** The row's own parent, never the session's system key: other regions and older rotations have another one. */
  #parentOf({ parentKeyMeta: meta }: EnvelopeKeyRecord): KeyMeta | undefined {
    return meta !== undefined && meta !== null && this.#ids.isSystemKey(meta) ? meta : undefined
  }

  #stateOf({ revoked, expiresAtMs, freshness }: RingKey): ParentState {
    if (revoked || this.#clock.now() >= expiresAtMs) return retired
    return { kind: 'usable', bounds: { expiresAtMs, freshness } }
  }

  *#latest(): Work<RingKey> {
    const keyId = this.#ids.systemKeyId
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const held = this.#ring.get(keyId, undefined)
      // What was checked for this very call is fresh enough, however long that took.
      const fresh = held?.fresh === true || attempt > 0
      if (held !== undefined && fresh && !held.revoked && this.#clock.now() < held.expiresAtMs) return held
      if (held !== undefined) this.#native.keyRelease(held.key)
      yield* this.#level.latest(keyId)
    }
    throw evictedTooSoon()
  }

  *#exact(meta: KeyMeta): Work<RingKey | undefined> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const held = this.#ring.get(meta.keyId, meta.created)
      if (held !== undefined && (held.fresh || attempt > 0)) return held
      if (held !== undefined) this.#native.keyRelease(held.key)
      if (!(yield* this.#level.existing(meta.keyId, meta.created, []))) return undefined
    }
    throw evictedTooSoon()
  }
}

function evictedTooSoon(): AsherahError {
  return new AsherahError(
    'ERR_KEY_CONTENTION',
    'A system key left the ring as soon as it was in it. Try again.',
  )
}
