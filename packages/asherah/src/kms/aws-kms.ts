import type { KMSClient } from '@aws-sdk/client-kms'
import { type AwsLimits, awsClientConfig, queryTimeoutMs, regionOf } from '../aws/aws-client.ts'
import { importDriver } from '../driver.ts'
import { AsherahError } from '../errors.ts'
import type { NativeBinding } from '../native/binding.ts'
import { AwsClients, type KeepClient } from './aws-clients.ts'
import { AwsKmsRegion, type KmsModule } from './aws-kms-region.ts'
import { AwsKmsWrapper } from './aws-kms-wrapper.ts'
import { byHandle, decryptBytes, encryptBytes, type HandleKms } from './handle-kms.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'
import { wiping } from './wiping-agent.ts'

/** Which keys of AWS KMS, and how they are reached. One of `regionMap` and `kmsKeyId` is required. */
export interface AwsKmsOptions extends AwsLimits {
  /** Region to the ARN of its key. */
  readonly regionMap?: Readonly<Record<string, string>>
  /** The region of `regionMap` that is asked first; required where there are several. */
  readonly preferredRegion?: string
  /** The one key to use where there is no `regionMap`, in the region that the SDK finds. */
  readonly kmsKeyId?: string
  /** Profile of the shared configuration files; without it the SDK's default chain of credentials. */
  readonly profile?: string
  /** URL for every region; the SDK itself reads `AWS_ENDPOINT_URL_KMS` and `AWS_ENDPOINT_URL`. */
  readonly endpoint?: string
  /**
   * Clients of your own, by region, which are never destroyed here; the region is undefined with `kmsKeyId`. `profile`,
   * `endpoint` and `connectTimeoutMs` do not count for them.
   */
  readonly client?: (region: string | undefined) => KMSClient
}

/**
 * System keys under AWS KMS, in one region or several, as every Asherah writes and reads them.
 *
 * A new system key is sealed under a data key that the preferred region makes (the next one when it fails), which each
 * other region seals too; a region that fails is left out, with a warning. To open one, the preferred region is asked
 * first, then every configured one that has an entry. The bytes of system keys stay in guarded memory; those of a data key
 * go there at once.
 *
 * @throws AsherahError `ERR_CONFIG_INVALID` for options that do not fit, `ERR_DRIVER_MISSING` without
 * `@aws-sdk/client-kms`, `ERR_KMS` when no region does its part, `ERR_TIMEOUT` when none answers in time, `ERR_CLOSED`.
 *
 * @example
 * ```ts
 * const kms = new AwsKms({
 *   regionMap: { 'us-west-2': 'arn:aws:kms:us-west-2:…:key/…', 'us-east-1': 'arn:aws:kms:us-east-1:…:key/…' },
 *   preferredRegion: 'us-west-2',
 *   client: (region) => new KMSClient({ region, credentials }),
 * })
 * ```
 */
export class AwsKms implements HandleKms {
  readonly #options: AwsKmsOptions
  readonly #regions = new AwsClients('The AWS KMS', (keep) => this.#open(keep))

  constructor(options: AwsKmsOptions) {
    check(options)
    this.#options = options
  }

  /** Makes one whose driver is there and whose regions are known. */
  static async open(options: AwsKmsOptions): Promise<AwsKms> {
    const kms = new AwsKms(options)
    await kms.#regions.opened()
    return kms
  }

  encryptKey(key: Uint8Array): Promise<Uint8Array> {
    return encryptBytes(this, key)
  }

  decryptKey(encryptedKey: Uint8Array): Promise<Uint8Array> {
    return decryptBytes(this, encryptedKey)
  }

  /** Ends the clients that were made here. */
  close(): void {
    this.#regions.close()
  }

  /** @internal */
  [byHandle](native: NativeBinding): SystemKeyWrapper {
    return new AwsKmsWrapper(
      native,
      () => this.#regions.opened(),
      () => this.close(),
    )
  }

  async #open(keep: KeepClient): Promise<readonly AwsKmsRegion[]> {
    const sdk = await importDriver<KmsModule>('@aws-sdk/client-kms')
    const { regionMap, preferredRegion, kmsKeyId = '' } = this.#options
    const limitMs = queryTimeoutMs(this.#options)
    if (regionMap === undefined) {
      const client = this.#client(sdk, undefined, keep)
      const region = await regionOf(client)
      if (region === undefined) throw invalid(`${noRegion}: set AWS_REGION or give regionMap`)
      return [new AwsKmsRegion(sdk, client, { region, keyId: kmsKeyId, limitMs })]
    }
    const preferred = preferredRegion ?? Object.keys(regionMap)[0]
    return Object.entries(regionMap)
      .toSorted(([one], [other]) => Number(other === preferred) - Number(one === preferred))
      .map(
        ([region, keyId]) =>
          new AwsKmsRegion(sdk, this.#client(sdk, region, keep), { region, keyId, limitMs }),
      )
  }

  #client(sdk: KmsModule, region: string | undefined, keep: KeepClient): KMSClient {
    const { client: own, profile, endpoint, ...limits } = this.#options
    if (own !== undefined) return own(region)
    const config = awsClientConfig({ ...limits, region, profile, endpoint, prepareAgent: wiping })
    return keep(new sdk.KMSClient(config))
  }
}

const noRegion = 'no region is configured for AWS KMS'

function check({ regionMap, preferredRegion, kmsKeyId }: AwsKmsOptions): void {
  if (regionMap === undefined) {
    if (kmsKeyId === undefined || kmsKeyId === '')
      throw invalid('give regionMap, or kmsKeyId for a single key')
    return
  }
  const regions = Object.keys(regionMap)
  if (regions.length === 0) throw invalid('regionMap is empty; give a region and the ARN of its key')
  if (regions.includes('')) throw invalid('regionMap has an empty region name')
  for (const [region, arn] of Object.entries(regionMap)) {
    if (typeof arn !== 'string' || arn === '') throw invalid(`regionMap has no ARN for '${region}'`)
  }
  if (preferredRegion === undefined && regions.length > 1) {
    throw invalid('preferredRegion is required when regionMap has several regions')
  }
  if (preferredRegion !== undefined && !regions.includes(preferredRegion)) {
    throw invalid('preferredRegion is no region of regionMap')
  }
}

function invalid(problem: string): AsherahError {
  return new AsherahError('ERR_CONFIG_INVALID', `The configuration of AWS KMS is not valid: ${problem}.`)
}
