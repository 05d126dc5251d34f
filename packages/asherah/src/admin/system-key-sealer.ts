import type { Config, ResolvedConfig } from '../config/config.ts'
import { drive } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import { decodeEnvelope } from '../kms/aws-kms-envelope.ts'
import { openKms } from '../kms/open-kms.ts'
import { takeMasterKey } from '../kms/static-master-key.ts'
import type { SystemKeyWrapper } from '../kms/system-key-wrapper.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { wrapKey } from '../native/wrap-key.ts'
import { preparedMemory } from './guarded-memory-health.ts'

/** A system key in guarded memory. Its bytes are shown to nobody; release it when it is not needed any more. */
export class OpenSystemKey {
  readonly #native: NativeBinding
  readonly #handle: KeyHandle

  /** @internal */
  constructor(native: NativeBinding, handle: KeyHandle) {
    this.#native = native
    this.#handle = handle
  }

  /** @internal */
  get handle(): KeyHandle {
    return this.#handle
  }

  /** Whether an intermediate key was sealed under this one. */
  opens(encryptedKey: Uint8Array): boolean {
    const key = this.#native.keyUnwrap(encryptedKey, this.#handle)
    if (key < 0) return false
    this.#native.keyRelease(key)
    return true
  }

  /** Whether both are the same key: what is sealed under the one is opened with the other. */
  isSameAs(other: OpenSystemKey): boolean {
    const probe = checked(this.#native.keyGenerate()) as KeyHandle
    try {
      return other.opens(wrapKey(this.#native, probe, this.#handle))
    } finally {
      this.#native.keyRelease(probe)
    }
  }

  release(): void {
    this.#native.keyRelease(this.#handle)
  }
}

/** A part of a KMS that seals system keys on its own: a region of AWS KMS, or the whole of any other. */
interface Place {
  readonly name: string
  readonly wrapper: SystemKeyWrapper
}

/**
 * The KMS of a configuration as an operator uses it: on system keys by their handles, in all of its regions at once or in
 * each by itself.
 *
 * @throws AsherahError `ERR_KMS`, `ERR_TIMEOUT`, and what opening a KMS throws.
 *
 * @example
 * ```ts
 * const from = await SystemKeySealer.open(oldConfiguration)
 * const to = await SystemKeySealer.open(newConfiguration)
 * const key = await from.unwrap(row.record.encryptedKey)
 * const encryptedKey = await to.wrap(key)
 * key.release()
 * ```
 */
export class SystemKeySealer {
  /** Names of the places that seal by themselves. */
  readonly places: readonly string[]
  /** The regions that a sealed key must have an entry of, and no other; undefined for what is not AWS KMS by regions. */
  readonly #regions: ReadonlySet<string> | undefined
  readonly #native: NativeBinding
  readonly #whole: SystemKeyWrapper
  readonly #places: readonly Place[]
  readonly #masterKey: KeyHandle | undefined

  private constructor(parts: {
    readonly native: NativeBinding
    readonly whole: SystemKeyWrapper
    readonly places: readonly Place[]
    readonly regions: ReadonlySet<string> | undefined
    readonly masterKey: KeyHandle | undefined
  }) {
    this.#native = parts.native
    this.#whole = parts.whole
    this.#places = parts.places
    this.#regions = parts.regions
    this.#masterKey = parts.masterKey
    this.places = parts.places.map(({ name }) => name)
  }

  /**
   * Opens the KMS. The master key of a static one is taken out of the configuration, which cannot be used again.
   *
   * @throws AsherahError `ERR_CONFIG_INVALID` for a random key, which has sealed nothing that is stored.
   */
  static async open({ config, secrets }: ResolvedConfig): Promise<SystemKeySealer> {
    const { native } = preparedMemory(config)
    if (config.kms.kind === 'static' && config.kms.key === 'random') {
      throw new AsherahError(
        'ERR_CONFIG_INVALID',
        'The static KMS has no key: give staticMasterKeyHex, the one that sealed the system keys.',
      )
    }
    const masterKey = takeMasterKey(native, config.kms, secrets)
    const open = async (kms: Config['kms']): Promise<SystemKeyWrapper> =>
      openKms({ ...config, kms }, secrets.forBackends(), native, masterKey)
    const whole = await open(config.kms)
    const { kms } = config
    if (kms.kind !== 'aws' || !('arns' in kms)) {
      const place = { name: kms.kind, wrapper: whole }
      return new SystemKeySealer({ native, whole, places: [place], regions: undefined, masterKey })
    }
    const { arns, preferredRegion } = kms
    const order = Object.keys(arns).toSorted(
      (one, other) => Number(other === preferredRegion) - Number(one === preferredRegion),
    )
    const places: Place[] = []
    for (const region of order) {
      const alone = { ...kms, arns: { [region]: arns[region] ?? '' }, preferredRegion: region }
      places.push({ name: region, wrapper: await open(alone) })
    }
    return new SystemKeySealer({ native, whole, places, regions: new Set(order), masterKey })
  }

  /** A fresh key, for trying out what can be done with one. */
  generate(): OpenSystemKey {
    return new OpenSystemKey(this.#native, checked(this.#native.keyGenerate()) as KeyHandle)
  }

  /** Seals a key in every region. A region that fails is left out; {@link isSealedEverywhere} tells. */
  async wrap(key: OpenSystemKey, place?: string): Promise<Uint8Array> {
    return await drive(this.#at(place).wrap(key.handle))
  }

  /** Opens a sealed key: anywhere, or at one place alone. The key is the caller's to release. */
  async unwrap(encryptedKey: Uint8Array, place?: string): Promise<OpenSystemKey> {
    return new OpenSystemKey(this.#native, await drive(this.#at(place).unwrap(encryptedKey)))
  }

  /**
   * Whether each place opens the sealed key by itself, all to the same key, and no other region is named in it: what this
   * KMS would have made of it. Undefined when it is; otherwise why it is not.
   */
  async whyNotSealedEverywhere(encryptedKey: Uint8Array): Promise<AsherahError | undefined> {
    try {
      this.#checkRegions(encryptedKey)
      let first: OpenSystemKey | undefined
      try {
        for (const place of this.places) {
          const key = await this.unwrap(encryptedKey, place)
          const same = first === undefined || key.isSameAs(first)
          if (first === undefined) first = key
          else key.release()
          if (!same) throw new AsherahError('ERR_KMS', `'${place}' opens a system key to another key.`)
        }
      } finally {
        first?.release()
      }
      return undefined
    } catch (error) {
      if (error instanceof AsherahError) return error
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#masterKey !== undefined) this.#native.keyRelease(this.#masterKey)
    const wrappers = new Set([this.#whole, ...this.#places.map(({ wrapper }) => wrapper)])
    for (const wrapper of wrappers) await drive(wrapper.close())
  }

  #at(place: string | undefined): SystemKeyWrapper {
    if (place === undefined) return this.#whole
    const found = this.#places.find(({ name }) => name === place)
    if (found === undefined) throw new TypeError(`the KMS has no place ${place}`)
    return found.wrapper
  }

  #checkRegions(encryptedKey: Uint8Array): void {
    const wanted = this.#regions
    if (wanted === undefined) return
    const sealed = new Set(decodeEnvelope(encryptedKey).kmsKeks.map(({ region }) => region))
    const names = (regions: ReadonlySet<string>) => [...regions].toSorted().join(', ') || 'no region'
    if (names(sealed) === names(wanted)) return
    throw new AsherahError(
      'ERR_KMS',
      `A system key is sealed in ${names(sealed)}, and the configured regions are ${names(wanted)}.`,
    )
  }
}
