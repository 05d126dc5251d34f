import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { type AwsLimits, awsClientConfig, queryTimeoutMs, regionOf } from '../aws/aws-client.ts'
import { importDriver } from '../driver.ts'
import { AsherahError } from '../errors.ts'
import type { NativeBinding } from '../native/binding.ts'
import { AwsClients, type KeepClient } from './aws-clients.ts'
import { byHandle, decryptBytes, encryptBytes, type HandleKms } from './handle-kms.ts'
import { type SecretsManagerModule, SecretsManagerSecret } from './secrets-manager-secret.ts'
import { SecretsManagerWrapper } from './secrets-manager-wrapper.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'
import { wiping } from './wiping-agent.ts'

/** Which secret, and how it is reached. */
export interface SecretsManagerOptions extends AwsLimits {
  /** Name or ARN of the secret that holds the master key: 64 hexadecimal digits, or 32 bytes. */
  readonly secretId: string
  /** Time after which the current version is looked up again, in seconds; 3,600 unless said. */
  readonly checkIntervalSeconds?: number
  /** Region of the secret; without it the one that the SDK finds. */
  readonly region?: string
  /** Profile of the shared configuration files; without it the SDK's default chain of credentials. */
  readonly profile?: string
  /** URL to use; the SDK itself reads `AWS_ENDPOINT_URL_SECRETS_MANAGER` and `AWS_ENDPOINT_URL`. */
  readonly endpoint?: string
  /** A client of your own, which is never destroyed here; `region`, `profile` and `endpoint` do not count for it. */
  readonly client?: SecretsManagerClient
}

/**
 * System keys under a master key that AWS Secrets Manager holds, stored as under a static key. AWS KMS is to be preferred:
 * there the master key never leaves the service.
 *
 * The value goes to guarded memory at once. When the secret gets another value, new system keys are sealed under it after
 * `checkIntervalSeconds`; old ones are opened with the version that sealed them, as long as Secrets Manager keeps it.
 *
 * @throws AsherahError `ERR_KMS` when the secret cannot be read, is no key, or opens a system key in none of its versions,
 * `ERR_TIMEOUT`, `ERR_CLOSED`, `ERR_CONFIG_INVALID`, `ERR_DRIVER_MISSING` without `@aws-sdk/client-secrets-manager`.
 *
 * @example
 * ```ts
 * const kms = new SecretsManagerKms({ secretId: 'prod/asherah/master-key' })
 * ```
 */
export class SecretsManagerKms implements HandleKms {
  readonly #options: SecretsManagerOptions
  readonly #secret = new AwsClients('The Secrets Manager KMS', (keep) => this.#open(keep))
  #wrapper: SecretsManagerWrapper | undefined

  constructor(options: SecretsManagerOptions) {
    if (options.secretId === '') throw invalid('secretId is empty')
    const { checkIntervalSeconds = 1 } = options
    if (!(checkIntervalSeconds > 0)) throw invalid('checkIntervalSeconds must be above 0')
    this.#options = options
  }

  /** Makes one whose driver is there and whose region is known. The secret is read when it is first needed. */
  static async open(options: SecretsManagerOptions): Promise<SecretsManagerKms> {
    const kms = new SecretsManagerKms(options)
    await kms.#secret.opened()
    return kms
  }

  encryptKey(key: Uint8Array): Promise<Uint8Array> {
    return encryptBytes(this, key)
  }

  decryptKey(encryptedKey: Uint8Array): Promise<Uint8Array> {
    return decryptBytes(this, encryptedKey)
  }

  /** Gives up the master keys and ends the client that was made here. */
  close(): void {
    this.#wrapper?.release()
    this.#secret.close()
  }

  /** @internal */
  [byHandle](native: NativeBinding): SystemKeyWrapper {
    this.#wrapper ??= new SecretsManagerWrapper({
      native,
      secret: () => this.#secret.opened(),
      checkIntervalMs: (this.#options.checkIntervalSeconds ?? 3600) * 1000,
      close: () => this.close(),
    })
    return this.#wrapper
  }

  async #open(keep: KeepClient): Promise<SecretsManagerSecret> {
    const sdk = await importDriver<SecretsManagerModule>('@aws-sdk/client-secrets-manager')
    const { client: own, secretId, region, profile, endpoint, ...limits } = this.#options
    const config = { ...limits, region, profile, endpoint, prepareAgent: wiping }
    const client = own ?? keep(new sdk.SecretsManagerClient(awsClientConfig(config)))
    if ((await regionOf(client)) === undefined) {
      throw invalid('no region is configured; set AWS_REGION or the region of the profile')
    }
    return new SecretsManagerSecret(sdk, client, secretId, queryTimeoutMs(limits))
  }
}

function invalid(problem: string): AsherahError {
  return new AsherahError(
    'ERR_CONFIG_INVALID',
    `The configuration of Secrets Manager is not valid: ${problem}.`,
  )
}
