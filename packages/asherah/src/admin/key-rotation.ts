import type { Clock } from '../clock.ts'
import type { Config, ResolvedConfig } from '../config/config.ts'
import { KeyRing } from '../engine/key-ring.ts'
import { OpenOnce } from '../engine/open-once.ts'
import { drive, settled, type Work } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import { KeyIds } from '../keys/key-ids.ts'
import { KeyLevel } from '../keys/key-level.ts'
import type { KeyParent } from '../keys/key-parent.ts'
import { KeyRows } from '../keys/key-rows.ts'
import { KmsParent } from '../keys/kms-parent.ts'
import { RotationPolicy } from '../keys/rotation-policy.ts'
import { SystemKeyParent } from '../keys/system-key-parent.ts'
import { openKms } from '../kms/open-kms.ts'
import { takeMasterKey } from '../kms/static-master-key.ts'
import type { SystemKeyWrapper } from '../kms/system-key-wrapper.ts'
import type { KeyMeta, Metastore } from '../metastore/metastore.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { Log } from '../observability/log.ts'
import { metrics } from '../observability/metrics.ts'
import { preparedMemory } from './guarded-memory-health.ts'

const mostAttempts = 5
/** Each rotation asks for the latest system key anew, so a few are all that are held. */
const ringCapacity = 16

/**
 * Rotates keys before their time: writes a newer generation, dated as the library itself dates one that follows an unusable
 * key, and leaves the older ones as they are. Processes adopt it at their next check.
 *
 * @example
 * ```ts
 * const rotation = await KeyRotation.open(resolved, metastore)
 * const { created } = await rotation.rotate('_IK_tenant-42_api_catalog')
 * await rotation.close()
 * ```
 */
export class KeyRotation {
  readonly #native: NativeBinding
  readonly #rows: KeyRows
  readonly #policy: RotationPolicy
  readonly #ids: KeyIds
  readonly #kmsParent: KeyParent
  readonly #systemKeyParent: KeyParent
  readonly #ring: KeyRing
  readonly #wrapper: SystemKeyWrapper
  readonly #masterKey: KeyHandle | undefined

  private constructor(
    native: NativeBinding,
    config: Config,
    metastore: Metastore,
    wrapper: SystemKeyWrapper,
    masterKey: KeyHandle | undefined,
  ) {
    const clock: Clock = { now: Date.now, monotonic: () => native.monotonicMs() }
    this.#native = native
    this.#wrapper = wrapper
    this.#masterKey = masterKey
    this.#ids = new KeyIds(config)
    this.#policy = new RotationPolicy(config.policy)
    this.#rows = new KeyRows(new OpenOnce(() => metastore), metrics)
    this.#ring = KeyRing.create(
      native,
      {
        capacity: ringCapacity,
        suffix: config.regionSuffix,
        acceptedSuffixes: config.recoveryRegionSuffixes,
      },
      undefined,
    )
    this.#kmsParent = new KmsParent(() => settled(wrapper))
    const level = new KeyLevel({
      noun: 'system key',
      native,
      ring: this.#ring,
      rows: this.#rows,
      parent: this.#kmsParent,
      policy: this.#policy,
      clock,
      log: new Log('asherah::admin', config.verbose),
      callTimeoutMs: config.callTimeoutMs,
      onCheck: () => undefined,
    })
    this.#systemKeyParent = new SystemKeyParent({ native, level, ring: this.#ring, ids: this.#ids, clock })
  }

  /** Opens the KMS; the metastore is the caller's. The master key is taken out of the configuration. */
  static async open({ config, secrets }: ResolvedConfig, metastore: Metastore): Promise<KeyRotation> {
    const { native } = preparedMemory(config)
    const masterKey = takeMasterKey(native, config.kms, secrets)
    const wrapper = await openKms(config, secrets.forBackends(), native, masterKey)
    return new KeyRotation(native, config, metastore, wrapper, masterKey)
  }

  /**
   * Writes a new generation of a key that there is already.
   *
   * @throws AsherahError `ERR_KEY_NOT_FOUND` when there is no generation, `ERR_KEY_TIME` when the latest one is dated too far
   * ahead of this clock, `ERR_KEY_CONTENTION` when others make new ones all the time.
   */
  async rotate(keyId: string): Promise<KeyMeta> {
    return await drive(this.#rotate(keyId))
  }

  async close(): Promise<void> {
    this.#ring.close()
    if (this.#masterKey !== undefined) this.#native.keyRelease(this.#masterKey)
    await drive(this.#wrapper.close())
  }

  *#rotate(keyId: string): Work<KeyMeta> {
    const parent = keyId === this.#ids.systemKeyId ? this.#kmsParent : this.#systemKeyParent
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const now = Date.now()
      const latest = yield* this.#rows.latest(keyId)
      if (latest === undefined) {
        throw new AsherahError(
          'ERR_KEY_NOT_FOUND',
          'The metastore has no key of that id, so there is nothing to rotate.',
        )
      }
      const created = this.#policy.createdFor(now, latest.created)
      if (yield* this.#insert(parent, keyId, created)) return { keyId, created }
      // Somebody else's newer key is none of ours: the next one follows it.
      yield* settled(new Promise((resolve) => setTimeout(resolve, 20)))
    }
    throw new AsherahError(
      'ERR_KEY_CONTENTION',
      `The key was not rotated: others made newer ones in ${mostAttempts} attempts. Try again.`,
    )
  }

  *#insert(parent: KeyParent, keyId: string, created: number): Work<boolean> {
    const key = checked(this.#native.keyGenerate()) as KeyHandle
    try {
      const { bounds: _, ...sealed } = yield* parent.seal(key)
      return yield* this.#rows.insert(keyId, { created, ...sealed })
    } finally {
      this.#native.keyRelease(key)
    }
  }
}
