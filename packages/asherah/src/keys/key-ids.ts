import type { KeyMeta } from '../metastore/metastore.ts'

/** What all key ids of one factory are made of (contract sections 1.2 and 1.3). */
export interface KeyIdParts {
  readonly serviceName: string
  readonly productId: string
  /** Appended to the ids of what is newly written; `''` for none. */
  readonly regionSuffix: string
  /** Other regions whose keys may be read; none unless configured. */
  readonly recoveryRegionSuffixes: readonly string[]
}

/** Builds and recognises the ids of one service's keys. Nothing is escaped or normalised: compatibility forbids it. */
export class KeyIds {
  readonly systemKeyId: string
  readonly #systemKeyCore: string
  readonly #parts: KeyIdParts

  constructor(parts: KeyIdParts) {
    this.#parts = parts
    this.#systemKeyCore = `_SK_${parts.serviceName}_${parts.productId}`
    this.systemKeyId = withSuffix(this.#systemKeyCore, parts.regionSuffix)
  }

  /** The id of a partition's intermediate keys without a region suffix: what the partition gate compares with. */
  intermediateKeyCore(partitionId: string): string {
    return `_IK_${partitionId}_${this.#parts.serviceName}_${this.#parts.productId}`
  }

  /** The id under which a partition's intermediate keys are newly written. */
  intermediateKeyId(partitionId: string): string {
    return withSuffix(this.intermediateKeyCore(partitionId), this.#parts.regionSuffix)
  }

  /** The partition gate, once more behind the native one. */
  isIntermediateKeyOf(partitionId: string, keyId: string): boolean {
    return passesGate(keyId, this.intermediateKeyCore(partitionId), this.#parts)
  }

  /** Whether a row's parent is a system key of this service and product, in this region or an accepted one. */
  isSystemKey(meta: KeyMeta): boolean {
    if (passesGate(meta.keyId, this.#systemKeyCore, this.#parts)) return true
    // Without a suffix of our own, another region's system key is met only by way of a configured recovery suffix.
    return this.#parts.recoveryRegionSuffixes.some(
      (suffix) => meta.keyId === withSuffix(this.#systemKeyCore, suffix),
    )
  }

  /** Where else a key that is not under `keyId` may be: the same generation in each configured region. */
  recoveryIds(partitionId: string, keyId: string): string[] {
    const core = this.intermediateKeyCore(partitionId)
    return this.#parts.recoveryRegionSuffixes
      .map((suffix) => withSuffix(core, suffix))
      .filter((id) => id !== keyId)
  }
}

function withSuffix(core: string, suffix: string): string {
  return suffix === '' ? core : `${core}_${suffix}`
}

// The canonical prefix match lets `prod` read `prod2`, the Rust peer's lets `a` read `a_svc_prod_x`; a region has no `_`.
function passesGate(keyId: string, core: string, parts: KeyIdParts): boolean {
  if (keyId === core) return true
  if (parts.regionSuffix === '' || !keyId.startsWith(`${core}_`)) return false
  const suffix = keyId.slice(core.length + 1)
  return (
    suffix === parts.regionSuffix ||
    parts.recoveryRegionSuffixes.includes(suffix) ||
    // Where service and product are one word, `core_word` is also another partition's own id.
    (/^[A-Za-z0-9-]+$/.test(suffix) && !core.endsWith(`_${suffix}`))
  )
}
