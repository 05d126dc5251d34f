import type { Clock } from '../clock.ts'
import type { Freshness } from '../keys/rotation-policy.ts'
import type { KeyMeta } from '../metastore/metastore.ts'
import {
  type KeyHandle,
  type NativeBinding,
  type RingHandle,
  type RingOptions,
  type RingStats,
  ringEntry,
} from '../native/binding.ts'
import { checked } from '../native/checked.ts'

/** A key of the ring: what the engine decides by, and a handle that its taker releases. */
export interface RingKey extends KeyMeta {
  readonly key: KeyHandle
  readonly expiresAtMs: number
  readonly revoked: boolean
  readonly freshness: Freshness
  /** Checked recently enough, or in a back-off after a failed check. */
  readonly fresh: boolean
}

/** What a put or refresh says of a key. */
export interface RingState {
  readonly expiresAtMs: number
  readonly revoked: boolean
  readonly freshness: Freshness
  /** Whether this generation is the one to encrypt with from now on. */
  readonly asLatest: boolean
}

/** This thread's place for the answer of one `ringGet`, read at once. */
const entryNumbers = new Float64Array(7)
const entryBytes = new Uint8Array(entryNumbers.buffer)

function entryNumber(index: number): number {
  return entryNumbers[index] ?? Number.NaN
}

/**
 * The native ring as the engine sees it: keys in guarded memory by (id, created), and the latest of each id. It belongs to
 * the process, so the bridge's thread holds the same one by the same handle.
 */
export class KeyRing {
  readonly handle: RingHandle
  readonly #native: NativeBinding
  readonly #clock: Clock | undefined

  /** `clock`: an injected one, which the native look-ups then follow. */
  constructor(native: NativeBinding, handle: RingHandle, clock?: Clock) {
    this.#native = native
    this.handle = handle
    this.#clock = clock
  }

  static create(native: NativeBinding, options: RingOptions, clock: Clock | undefined): KeyRing {
    return new KeyRing(native, checked(native.ringCreate(options)) as RingHandle, clock)
  }

  put(keyId: string, created: number, key: KeyHandle, state: RingState): void {
    const { expiresAtMs, revoked, freshness, asLatest } = state
    checked(
      this.#native.ringPut(
        this.handle,
        keyId,
        created,
        key,
        expiresAtMs,
        revoked,
        freshness.checkAfterMs,
        freshness.overdueAfterMs,
        asLatest,
      ),
    )
  }

  /** Notes what a check found for a key; false when the key is not in the ring. */
  refresh(keyId: string, created: number, state: RingState): boolean {
    const { expiresAtMs, revoked, freshness, asLatest } = state
    const answer = this.#native.ringRefresh(
      this.handle,
      keyId,
      created,
      expiresAtMs,
      revoked,
      freshness.checkAfterMs,
      freshness.overdueAfterMs,
      asLatest,
    )
    return checked(answer) === 1
  }

  evict(keyId: string, created: number): void {
    checked(this.#native.ringEvict(this.handle, keyId, created))
  }

  /** After a failed check the key serves as it is until then; `created` undefined: the question for the latest. */
  backOff(keyId: string, created: number | undefined, untilMonotonicMs: number): void {
    checked(this.#native.ringBackOff(this.handle, keyId, created ?? Number.NaN, untilMonotonicMs))
  }

  /** The key, revoked and expired ones too; `created` undefined: the latest. Release its handle. */
  get(keyId: string, created: number | undefined): RingKey | undefined {
    this.followClock()
    const found = this.#native.ringGet(this.handle, keyId, created ?? Number.NaN, entryBytes)
    if (checked(found) === 0) return undefined
    return {
      keyId,
      created: entryNumber(ringEntry.created),
      key: entryNumber(ringEntry.key) as KeyHandle,
      expiresAtMs: entryNumber(ringEntry.expiresAtMs),
      revoked: entryNumber(ringEntry.revoked) === 1,
      freshness: {
        checkAfterMs: entryNumber(ringEntry.checkAfterMs),
        overdueAfterMs: entryNumber(ringEntry.overdueAfterMs),
      },
      fresh: entryNumber(ringEntry.state) === 0,
    }
  }

  /** Like {@link get}, without a handle to release. */
  peek(keyId: string, created: number | undefined): Omit<RingKey, 'key'> | undefined {
    const entry = this.get(keyId, created)
    if (entry === undefined) return undefined
    this.#native.keyRelease(entry.key)
    return entry
  }

  /** Tells the native look-ups an injected clock's time; nothing otherwise. */
  followClock(): void {
    if (this.#clock === undefined) return
    checked(this.#native.ringSetClock(this.handle, this.#clock.now(), this.#clock.monotonic()))
  }

  stats(): RingStats {
    const stats = this.#native.ringStats(this.handle)
    if (typeof stats === 'number') {
      checked(stats)
      throw new TypeError('ringStats answered a number')
    }
    return stats
  }

  close(): void {
    checked(this.#native.ringClose(this.handle))
  }
}
