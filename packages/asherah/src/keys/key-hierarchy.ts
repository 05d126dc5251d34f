import type { Clock, Moment } from '../clock.ts'
import type { KeyQuestion } from '../engine/key-port.ts'
import type { KeyRing } from '../engine/key-ring.ts'
import type { Opening } from '../engine/open-once.ts'
import type { Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { SystemKeyWrapper } from '../kms/system-key-wrapper.ts'
import type { Metastore } from '../metastore/metastore.ts'
import type { NativeBinding } from '../native/binding.ts'
import type { Log } from '../observability/log.ts'
import type { Metrics } from '../observability/metrics.ts'
import { type KeyIdParts, KeyIds } from './key-ids.ts'
import { KeyLevel } from './key-level.ts'
import { KeyRows } from './key-rows.ts'
import { KmsParent } from './kms-parent.ts'
import { RotationPolicy, type RotationSettings } from './rotation-policy.ts'
import { SystemKeyParent } from './system-key-parent.ts'

/** What a hierarchy is made of. */
export interface KeyHierarchyParts {
  readonly native: NativeBinding
  readonly identity: KeyIdParts
  readonly settings: RotationSettings
  readonly clock: Clock
  /** Longest wait for one answer of a backend. */
  readonly callTimeoutMs: number
  /** Where the sessions look; the answer to a question is "now in this ring". */
  readonly intermediateKeys: KeyRing
  readonly systemKeys: KeyRing
  /** Opened when first needed. */
  readonly metastore: Opening<Metastore>
  readonly kms: () => Work<SystemKeyWrapper>
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * The key hierarchy of one service: master key (in the KMS), system keys, intermediate keys. It answers the two questions
 * of the key port by bringing keys into the ring, and holds no key itself.
 */
export class KeyHierarchy {
  readonly #ids: KeyIds
  readonly #intermediate: KeyLevel
  #lastCheck: Moment | undefined

  constructor(parts: KeyHierarchyParts) {
    const { native, clock, callTimeoutMs, log, metrics } = parts
    const ids = new KeyIds(parts.identity)
    const shared = {
      native,
      clock,
      callTimeoutMs,
      log,
      policy: new RotationPolicy(parts.settings),
      rows: new KeyRows(parts.metastore, metrics),
      onCheck: (at: Moment) => {
        this.#lastCheck = at
      },
    }
    const level = new KeyLevel({
      ...shared,
      noun: 'system key',
      ring: parts.systemKeys,
      parent: new KmsParent(parts.kms),
    })
    this.#ids = ids
    this.#intermediate = new KeyLevel({
      ...shared,
      noun: 'intermediate key',
      ring: parts.intermediateKeys,
      parent: new SystemKeyParent({ native, clock, ids, level, ring: parts.systemKeys }),
    })
  }

  /** The last time at which the metastore confirmed a key. */
  get lastCheck(): Moment | undefined {
    return this.#lastCheck
  }

  /** Answers one question of the key port: on return the key is in the ring. */
  *answer(question: KeyQuestion): Work<void> {
    const { partitionId } = question
    if (question.kind === 'latest') {
      yield* this.#intermediate.latest(this.#ids.intermediateKeyId(partitionId))
      return
    }
    const { keyId, created } = question
    if (!this.#ids.isIntermediateKeyOf(partitionId, keyId)) {
      throw new AsherahError('ERR_RECORD_FOREIGN', 'The record belongs to another partition.')
    }
    const found = yield* this.#intermediate.existing(
      keyId,
      created,
      this.#ids.recoveryIds(partitionId, keyId),
    )
    if (!found) {
      throw new AsherahError(
        'ERR_KEY_NOT_FOUND',
        `The metastore has no intermediate key created at ${created} under the id that the record names: it was deleted, ` +
          'the record was altered, or this is another metastore than the one it was written with.',
      )
    }
  }
}
