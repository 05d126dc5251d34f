import type { Work } from '../engine/work.ts'
import { settled } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { wrapKey } from '../native/wrap-key.ts'
import { secretBytes } from '../secret-bytes.ts'
import { decodeEnvelope, encodeEnvelope, type RegionKek } from './aws-kms-envelope.ts'
import type { AwsKmsRegion, NewDataKey } from './aws-kms-region.ts'
import { kmsReport } from './kms-report.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'

/** Why a region could not do its part. */
interface Failure {
  readonly region: string
  readonly error: unknown
}

/** System keys under data keys that AWS KMS makes and seals, in one region or in several (contract section 2.5.1). */
export class AwsKmsWrapper implements SystemKeyWrapper {
  readonly #native: NativeBinding
  readonly #regions: () => Promise<readonly AwsKmsRegion[]>
  readonly #close: () => void

  /** `regions`: the preferred one first. */
  constructor(native: NativeBinding, regions: () => Promise<readonly AwsKmsRegion[]>, close: () => void) {
    this.#native = native
    this.#regions = regions
    this.#close = close
  }

  *wrap(key: KeyHandle): Work<Uint8Array> {
    const regions = yield* settled(this.#regions())
    const { dataKey, late } = yield* this.#generate(regions)
    try {
      const encryptedKey = wrapKey(this.#native, key, dataKey.key)
      const others = regions.filter((region) => region.region !== dataKey.kek.region && !late.has(region))
      const keks = [dataKey.kek, ...(yield* this.#sealElsewhere(others, dataKey.key))]
      const order = regions.map(({ region }) => region)
      const kmsKeks = keks.toSorted((one, other) => order.indexOf(one.region) - order.indexOf(other.region))
      return encodeEnvelope({ encryptedKey, kmsKeks })
    } finally {
      this.#native.keyRelease(dataKey.key)
    }
  }

  *unwrap(bytes: Uint8Array): Work<KeyHandle> {
    const regions = yield* settled(this.#regions())
    const { encryptedKey, kmsKeks } = decodeEnvelope(bytes)
    const failures: Failure[] = []
    for (const region of regions) {
      for (const kek of kmsKeks.filter((entry) => entry.region === region.region)) {
        try {
          return yield* this.#open(region, kek, encryptedKey)
        } catch (error) {
          failures.push({ region: region.region, error })
          if (region !== regions.at(-1)) kmsReport.regionPassedOver(region.region, error)
        }
      }
    }
    if (failures.length > 0) throw failed('opened a system key', failures)
    throw new AsherahError(
      'ERR_KMS',
      `A system key was sealed by AWS KMS in ${names(kmsKeks) || 'no region'}, and the configured regions are ` +
        `${names(regions)}. Configure one of those that sealed it, by its exact name.`,
    )
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *close(): Work<void> {
    this.#close()
  }

  /** `late`: the regions that did not answer in time; asking them once more would take as long again. */
  *#generate(
    regions: readonly AwsKmsRegion[],
  ): Work<{ dataKey: NewDataKey; late: ReadonlySet<AwsKmsRegion> }> {
    const failures: Failure[] = []
    const late = new Set<AwsKmsRegion>()
    for (const region of regions) {
      try {
        const dataKey = yield* settled(region.generate(this.#native))
        for (const { region: name, error } of failures) {
          if (isLate(error)) kmsReport.regionLeftOut(name, error)
        }
        return { dataKey, late }
      } catch (error) {
        if (isLate(error)) late.add(region)
        failures.push({ region: region.region, error })
        if (region !== regions.at(-1)) kmsReport.regionPassedOver(region.region, error)
      }
    }
    throw failed('made a data key for a new system key', failures)
  }

  /** What the other regions seal the data key as; one that fails is left out. */
  *#sealElsewhere(regions: readonly AwsKmsRegion[], dataKey: KeyHandle): Work<RegionKek[]> {
    if (regions.length === 0) return []
    const bytes = secretBytes(32)
    try {
      checked(this.#native.keyExport(dataKey, bytes))
      const outcomes = yield* settled(Promise.allSettled(regions.map((region) => region.encrypt(bytes))))
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'fulfilled') continue
        kmsReport.regionLeftOut(regions[index]?.region ?? '', outcome.reason)
      }
      return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    } finally {
      bytes.fill(0)
    }
  }

  *#open(region: AwsKmsRegion, kek: RegionKek, encryptedKey: Uint8Array): Work<KeyHandle> {
    const dataKey = yield* settled(region.decrypt(this.#native, kek.encryptedKek))
    try {
      return checked(this.#native.keyUnwrap(encryptedKey, dataKey)) as KeyHandle
    } finally {
      this.#native.keyRelease(dataKey)
    }
  }
}

function names(regions: readonly { readonly region: string }[]): string {
  return [...new Set(regions.map(({ region }) => `'${region}'`))].join(', ')
}

// What a service says may hold anything, so the message has the names of errors only; the errors themselves are the cause.
function failed(what: string, failures: readonly Failure[]): AsherahError {
  const timedOut = failures.every(({ error }) => isLate(error))
  const told = failures.map(({ region, error }) => `'${region}': ${nameOf(error)}`).join('; ')
  const errors = failures.map(({ error }) => error)
  return new AsherahError(
    timedOut ? 'ERR_TIMEOUT' : 'ERR_KMS',
    `AWS KMS of no region has ${what} (${told}). The errors are the cause of this one. Keys in memory serve on.` +
      (errors.some(isWrongKey) ? ` ${wrongKeyHint}` : ''),
    { cause: errors.length === 1 ? errors[0] : new AggregateError(errors, 'every region failed') },
  )
}

function isLate(error: unknown): boolean {
  return error instanceof AsherahError && error.code === 'ERR_TIMEOUT'
}

const wrongKeyHint =
  'IncorrectKeyException: the configured key is not the one that sealed it; configure its ARN again.'

function isWrongKey(error: unknown): boolean {
  return nameOf(error) === 'IncorrectKeyException'
}

function nameOf(error: unknown): string {
  if (error instanceof AsherahError) return error.code
  return error instanceof Error ? error.name : typeof error
}
