import { type Clock, type Moment, readClock } from '../clock.ts'
import { callerMustNotJoin } from '../engine/blocked-caller.ts'
import type { KeyRing, RingState } from '../engine/key-ring.ts'
import { SingleFlight } from '../engine/single-flight.ts'
import { TimeLimit } from '../engine/time-limit.ts'
import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import type { Log } from '../observability/log.ts'
import type { KeyParent, ParentBounds, ParentState } from './key-parent.ts'
import type { KeyRows } from './key-rows.ts'
import type { RotationPolicy } from './rotation-policy.ts'

/** Attempts at making a key that others make at the same time; each lost race is somebody else's success. */
const mostAttempts = 5
/** How long a key serves on after a check that failed. */
const backOffMs = 10_000

/** What a level of the hierarchy works with. */
export interface KeyLevelParts {
  /** For messages: `system key` or `intermediate key`. */
  readonly noun: string
  readonly native: NativeBinding
  readonly ring: KeyRing
  readonly rows: KeyRows
  readonly parent: KeyParent
  readonly policy: RotationPolicy
  readonly clock: Clock
  readonly log: Log
  /** Longest wait for one answer of a backend. */
  readonly callTimeoutMs: number
  /** Told of each check of a key that succeeded. */
  readonly onCheck: (at: Moment) => void
}

/**
 * One level of the key hierarchy: brings the latest or a given generation of a key into the ring, making, rotating and
 * checking it on the way. System and intermediate keys differ only in their {@link KeyParent}.
 */
export class KeyLevel {
  readonly #parts: KeyLevelParts
  readonly #flights: SingleFlight

  constructor(parts: KeyLevelParts) {
    this.#parts = parts
    this.#flights = new SingleFlight(new TimeLimit(parts.callTimeoutMs, { keepsAlive: false }))
  }

  /** Makes sure that a usable latest key of this id, checked just now, is in the ring. */
  latest(keyId: string): Work<void> {
    return this.#shared(`latest ${keyId}`, () => this.#latest(keyId))
  }

  /**
   * Makes sure that this generation, checked just now, is in the ring; false when it is in none of the places: `keyId`
   * itself, then `elsewhere`, ids under which another region may have written it.
   */
  existing(keyId: string, created: number, elsewhere: readonly string[]): Work<boolean> {
    return this.#shared(`${created} ${keyId}`, () => this.#existing(keyId, created, elsewhere))
  }

  #shared<T>(name: string, start: () => Work<T>): Work<T> {
    return callerMustNotJoin() ? this.#flights.alone(start) : this.#flights.join(name, start)
  }

  *#latest(keyId: string): Work<void> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      // Read before the look-up: a key that somebody makes meanwhile is then never dated before ours.
      const at = readClock(this.#parts.clock)
      let row: EnvelopeKeyRecord | undefined
      try {
        row = yield* this.#parts.rows.latest(keyId)
        if (yield* this.#adoptLatest(keyId, row, at)) return
      } catch (error) {
        // Only of looking: a key that was seen to be unusable does not serve on because no other could be made.
        if (row !== undefined) yield* this.#checkOlder(keyId, row.created, at)
        if (this.#servesOn(keyId, undefined, error)) return
        throw error
      }
      if (yield* this.#create(keyId, at, row?.created)) return
    }
    throw new AsherahError(
      'ERR_KEY_CONTENTION',
      `No usable ${this.#parts.noun} could be made in ${mostAttempts} attempts: each time another process, or a stale ` +
        'replica, answered with one that is expired or revoked. Try again; if it stays, check the clocks and the metastore.',
    )
  }

  *#existing(keyId: string, created: number, elsewhere: readonly string[]): Work<boolean> {
    const { rows, ring, policy, clock } = this.#parts
    const at = readClock(clock)
    let row: EnvelopeKeyRecord | undefined
    try {
      row = yield* rows.exact(keyId, created)
      for (const otherId of elsewhere) row ??= yield* rows.exact(otherId, created)
    } catch (error) {
      if (this.#servesOn(keyId, created, error)) return true
      throw error
    }
    if (row === undefined) {
      ring.evict(keyId, created)
      return false
    }
    this.#parts.onCheck(at)
    const held = ring.peek(keyId, created)
    const state: RingState = {
      expiresAtMs: held?.expiresAtMs ?? policy.expiresAtMs(created),
      revoked: row.revoked === true,
      freshness: policy.freshness(at),
      asLatest: false,
    }
    if (ring.refresh(keyId, created, state)) return true
    const key = yield* this.#openExisting(row)
    try {
      ring.put(keyId, created, key, state)
    } finally {
      this.#parts.native.keyRelease(key)
    }
    return true
  }

  *#openExisting(row: EnvelopeKeyRecord): Work<KeyHandle> {
    const { noun } = this.#parts
    const { parent, key } = yield* this.#parts.parent.open(row)
    if (parent.kind === 'missing') {
      throw new AsherahError(
        'ERR_KEY_NOT_FOUND',
        `The parent of the ${noun} created at ${row.created} is not in the metastore: what it sealed cannot be read.`,
      )
    }
    if (key === undefined) {
      throw new AsherahError(
        'ERR_KEY_CORRUPT',
        `The ${noun} created at ${row.created} does not open under its parent: its row was damaged or tampered with.`,
      )
    }
    return key
  }

  /** Makes the latest row's key the latest one in the ring; false when there is none that may encrypt. */
  *#adoptLatest(keyId: string, row: EnvelopeKeyRecord | undefined, at: Moment): Work<boolean> {
    const { policy, ring } = this.#parts
    const latest = this.#forgetVanished(keyId, row)
    if (row === undefined) return false
    if (!policy.isValid(row, at.wallMs)) {
      this.#retire(keyId, row, at)
      return false
    }
    // A generation that was only decrypted with is in the ring, but not as the latest.
    if (latest === row.created || ring.peek(keyId, row.created) !== undefined) {
      const parent = yield* this.#parts.parent.state(row)
      if (parent.kind !== 'usable') return this.#refuse(keyId, row, parent, at)
      if (ring.refresh(keyId, row.created, this.#usable(row.created, at, parent.bounds))) {
        this.#parts.onCheck(at)
        return true
      }
      // It left the ring while its parent was looked at.
    }
    return yield* this.#putLatest(keyId, row, at)
  }

  /** Opens the latest row's key into the ring; false when it may not encrypt, or does not open. */
  *#putLatest(keyId: string, row: EnvelopeKeyRecord, at: Moment): Work<boolean> {
    const { ring, native } = this.#parts
    const { parent, key } = yield* this.#parts.parent.open(row)
    try {
      if (parent.kind !== 'usable') return this.#refuse(keyId, row, parent, at)
      if (key === undefined) {
        this.#warnOfDamage('does not open under its parent')
        return false
      }
      ring.put(keyId, row.created, key, this.#usable(row.created, at, parent.bounds))
    } finally {
      if (key !== undefined) native.keyRelease(key)
    }
    this.#parts.onCheck(at)
    return true
  }

  /** The latest row's parent does not let it encrypt. */
  #refuse(keyId: string, row: EnvelopeKeyRecord, parent: ParentState, at: Moment): false {
    if (parent.kind === 'foreign') this.#warnOfDamage('names a parent that is none of this service')
    this.#retire(keyId, row, at)
    return false
  }

  /** Makes and stores a new key and puts it, or the valid winner of a lost race, into the ring as the latest. */
  *#create(keyId: string, at: Moment, unusableLatest: number | undefined): Work<boolean> {
    const { native, parent, policy, rows, ring, noun, log } = this.#parts
    const created = policy.createdFor(at.wallMs, unusableLatest)
    const key = checked(native.keyGenerate()) as KeyHandle
    try {
      const { encryptedKey, parentKeyMeta, bounds } = yield* parent.seal(key)
      const record =
        parentKeyMeta === undefined ? { created, encryptedKey } : { created, encryptedKey, parentKeyMeta }
      if (yield* rows.insert(keyId, record)) {
        ring.put(keyId, created, key, this.#usable(created, at, bounds))
        this.#parts.onCheck(at)
        log.info(`a new ${noun} was made`)
        return true
      }
    } finally {
      native.keyRelease(key)
    }
    const winner = yield* rows.winner(keyId, created)
    if (winner === undefined || !policy.isValid(winner, at.wallMs)) return false
    return yield* this.#adoptLatest(keyId, winner, at)
  }

  /** What the ring is told of the latest key, which ends, and is looked at again, no later than its parent. */
  #usable(created: number, at: Moment, parent: ParentBounds): RingState {
    const { policy } = this.#parts
    return {
      expiresAtMs: Math.min(policy.expiresAtMs(created), parent.expiresAtMs),
      revoked: false,
      freshness: policy.freshness(at, parent.freshness),
      asLatest: true,
    }
  }

  /**
   * After a check that found a newer key, and no KMS to open it: the ring's key must not serve on if it was revoked or
   * deleted, which is what the newer one may be there for.
   */
  *#checkOlder(keyId: string, newer: number, at: Moment): Work<void> {
    const { ring, rows, policy, parent } = this.#parts
    const held = ring.peek(keyId, undefined)
    if (held === undefined || held.created >= newer) return
    try {
      const row = yield* rows.exact(keyId, held.created)
      if (row === undefined) ring.evict(keyId, held.created)
      else if (!policy.isValid(row, at.wallMs) || (yield* parent.state(row)).kind !== 'usable')
        this.#retire(keyId, row, at)
    } catch {
      // An outage of the metastore as well: nothing is known against the key, and the first failure is told.
    }
  }

  /** After a failed check: whether the ring's key may serve on, which is then noted. */
  #servesOn(keyId: string, created: number | undefined, error: unknown): boolean {
    const { ring, clock, log, noun } = this.#parts
    const held = ring.peek(keyId, created)
    if (held === undefined) return false
    // From now, not from when the check began: it may have taken longer than the back-off to fail.
    const now = readClock(clock)
    // The latest key must still be allowed to encrypt; a generation asked for by name decrypts for ever.
    if (created === undefined && (held.revoked || now.wallMs >= held.expiresAtMs)) return false
    ring.backOff(keyId, created, now.monotonicMs + backOffMs)
    log.warnOnceAMinute(`checking the ${noun} failed; the key in memory serves on`, error)
    return true
  }

  /**
   * The metastore's latest row is older than the ring's key, or gone: the ring's key was deleted, so drop it. Answers when
   * the ring's latest key was made, if it had one.
   */
  #forgetVanished(keyId: string, row: EnvelopeKeyRecord | undefined): number | undefined {
    const { ring } = this.#parts
    const held = ring.peek(keyId, undefined)
    if (held !== undefined && (row === undefined || row.created < held.created))
      ring.evict(keyId, held.created)
    return held?.created
  }

  /** A key of the ring that was found unusable encrypts no more; it still decrypts. */
  #retire(keyId: string, row: EnvelopeKeyRecord, at: Moment): void {
    this.#parts.ring.refresh(keyId, row.created, {
      expiresAtMs: Math.floor(at.wallMs),
      revoked: row.revoked === true,
      freshness: this.#parts.policy.freshness(at),
      asLatest: false,
    })
  }

  #warnOfDamage(what: string): void {
    this.#parts.log.warn(
      `the latest ${this.#parts.noun} ${what}: its row was damaged or tampered with; it is replaced`,
    )
  }
}
