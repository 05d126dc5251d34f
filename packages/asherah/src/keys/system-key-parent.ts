import type { Clock } from '../clock.ts'
import type { KeyRing, RingKey } from '../engine/key-ring.ts'
import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord, KeyMeta } from '../metastore/metastore.ts'
import { type KeyHandle, keyLength, type NativeBinding, unwrapAuthentication } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { wrapKey } from '../native/wrap-key.ts'
import type { KeyIds } from './key-ids.ts'
import type { KeyLevel } from './key-level.ts'
import type { KeyParent, ParentState, SealedKey } from './key-parent.ts'

/** A ring so small that it evicts the system key at once, this often in a row, is an error. */
const mostAttempts = 4

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
    // The row's own parent, never the session's system key: other regions and older rotations have another one.
    const meta = row.parentKeyMeta
    if (meta === undefined || meta === null || !this.#ids.isSystemKey(meta)) return { kind: 'foreign' }
    const systemKey = yield* this.#exact(meta)
    if (systemKey === undefined) return { kind: 'missing' }
    this.#native.keyRelease(systemKey.key)
    const { revoked, expiresAtMs, freshness } = systemKey
    if (revoked || this.#clock.now() >= expiresAtMs) return { kind: 'retired' }
    return { kind: 'usable', bounds: { expiresAtMs, freshness } }
  }

  *open(row: EnvelopeKeyRecord): Work<KeyHandle | undefined> {
    const meta = row.parentKeyMeta
    const systemKey = meta === undefined || meta === null ? undefined : yield* this.#exact(meta)
    if (systemKey === undefined) return undefined
    try {
      const key = this.#native.keyUnwrap(row.encryptedKey, systemKey.key)
      if (key === unwrapAuthentication || key === keyLength) return undefined
      return checked(key) as KeyHandle
    } finally {
      this.#native.keyRelease(systemKey.key)
    }
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
