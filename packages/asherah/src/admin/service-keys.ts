import { type KeyIdParts, KeyIds } from '../keys/key-ids.ts'

/** What an id says, read with the names of one service and product. */
export interface ServiceKey {
  readonly kind: 'system' | 'intermediate'
  /** Of an intermediate key. */
  readonly partitionId?: string
  /** `''` for none. */
  readonly suffix: string
  /**
   * Whether the suffix is none, the configured one, or a configured recovery suffix. Any other only looks like a region's:
   * it may as well be the end of another product's name (contract section 1.2).
   */
  readonly configured: boolean
}

/** The ids of one service and product, as an operator needs them: built, and recognised. */
export class ServiceKeyIds {
  readonly #ids: KeyIds
  readonly #parts: KeyIdParts
  readonly #tail: string
  /** The suffix of newly written keys first. */
  readonly #suffixes: readonly string[]

  constructor(parts: KeyIdParts) {
    this.#parts = parts
    this.#ids = new KeyIds(parts)
    this.#tail = `_${parts.serviceName}_${parts.productId}`
    this.#suffixes = [...new Set([parts.regionSuffix, '', ...parts.recoveryRegionSuffixes])]
  }

  /** The id under which system keys are newly written. */
  get systemKeyId(): string {
    return this.#ids.systemKeyId
  }

  /** The ids under which system keys of this service may be, the one of new keys first. */
  get systemKeyIds(): readonly string[] {
    return this.#suffixes.map((suffix) => withSuffix(`_SK${this.#tail}`, suffix))
  }

  /** The id under which a partition's keys are newly written. */
  intermediateKeyId(partitionId: string): string {
    return this.#ids.intermediateKeyId(partitionId)
  }

  /** The ids under which a partition's keys may be, the one of new keys first. */
  intermediateKeyIds(partitionId: string): readonly string[] {
    return this.#suffixes.map((suffix) => withSuffix(this.#ids.intermediateKeyCore(partitionId), suffix))
  }

  /** What an id says; undefined for one of another service or product. */
  identify(keyId: string): ServiceKey | undefined {
    const { prefix, kind } = kindOf(keyId) ?? {}
    if (prefix === undefined || kind === undefined) return undefined
    for (const suffix of [...this.#suffixes, /_([A-Za-z0-9-]+)$/.exec(keyId)?.[1] ?? '']) {
      const end = withSuffix(this.#tail, suffix)
      if (!keyId.endsWith(end)) continue
      const middle = keyId.slice(prefix.length, keyId.length - end.length)
      const configured = this.#suffixes.includes(suffix)
      if (kind === 'system' && middle === '' && keyId.length === prefix.length + end.length) {
        return { kind, suffix, configured }
      }
      if (kind === 'intermediate' && middle.startsWith('_')) {
        return { kind, partitionId: middle.slice(1), suffix, configured }
      }
    }
    return undefined
  }

  /** Whether a key's parent is a system key of this service. */
  isParent(keyId: string): boolean {
    return this.#ids.isSystemKey({ keyId, created: 0 }) || this.identify(keyId)?.kind === 'system'
  }

  get parts(): KeyIdParts {
    return this.#parts
  }
}

function kindOf(keyId: string): { prefix: string; kind: ServiceKey['kind'] } | undefined {
  if (keyId.startsWith('_SK_')) return { prefix: '_SK', kind: 'system' }
  return keyId.startsWith('_IK_') ? { prefix: '_IK', kind: 'intermediate' } : undefined
}

function withSuffix(core: string, suffix: string): string {
  return suffix === '' ? core : `${core}_${suffix}`
}
