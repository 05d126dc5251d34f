import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { sendWithin } from '../aws/aws-client.ts'
import { takeFromAnswer } from '../aws/secret-members.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import { importKey } from './handle-kms.ts'
import { readBase64, readHex } from './secret-text.ts'

export type SecretsManagerModule = typeof import('@aws-sdk/client-secrets-manager')

/** One version of the secret, in guarded memory. */
export interface SecretVersion {
  readonly id: string
  readonly key: KeyHandle
}

/** Which version: by its label, or by its id. */
export type VersionChoice =
  | { readonly VersionStage: 'AWSCURRENT' | 'AWSPREVIOUS' }
  | { readonly VersionId: string }

const keyBytes = 32
/** Pages of 100 versions, Secrets Manager's own limit of what it keeps. */
const versionsListed = 100

/** A secret that holds a master key (contract section 2.5.3); its value reaches guarded memory without becoming a string. */
export class SecretsManagerSecret {
  readonly id: string
  readonly #sdk: SecretsManagerModule
  readonly #client: SecretsManagerClient
  readonly #limitMs: number

  constructor(sdk: SecretsManagerModule, client: SecretsManagerClient, id: string, limitMs: number) {
    this.#sdk = sdk
    this.#client = client
    this.id = id
    this.#limitMs = limitMs
  }

  /** The handle is the caller's to release. */
  async read(native: NativeBinding, choice: VersionChoice): Promise<SecretVersion> {
    const command = new this.#sdk.GetSecretValueCommand({ SecretId: this.id, ...choice })
    let text: Uint8Array | undefined
    let binary: Uint8Array | undefined
    try {
      takeFromAnswer(command, ['SecretString', 'SecretBinary'], (name, content) => {
        if (name === 'SecretString') text = Uint8Array.from(content)
        else binary = readBase64(content)
      })
      const output = (await this.#send(command)) as Output
      // A client that makes no HTTP calls leaves the value in its answer.
      if (text === undefined && output.SecretString) text = new TextEncoder().encode(output.SecretString)
      if (binary === undefined && output.SecretBinary?.length) binary = output.SecretBinary
      return { id: output.VersionId ?? '', key: importKey(native, this.#masterKey(text, binary)) }
    } finally {
      text?.fill(0)
      binary?.fill(0)
    }
  }

  /** Ids of every version that is kept, the newest first. */
  async versions(): Promise<string[]> {
    const command = new this.#sdk.ListSecretVersionIdsCommand({
      SecretId: this.id,
      // Versions without a label: those before the previous one.
      IncludeDeprecated: true,
      MaxResults: versionsListed,
    })
    const { Versions: versions = [] } = (await this.#send(command)) as ListOutput
    return versions
      .toSorted((one, other) => Number(other.CreatedDate ?? 0) - Number(one.CreatedDate ?? 0))
      .flatMap(({ VersionId: id }) => (id === undefined ? [] : [id]))
  }

  #masterKey(text: Uint8Array | undefined, binary: Uint8Array | undefined): Uint8Array {
    if (text !== undefined && text.length > 0) {
      const key = readHex(text)
      if (typeof key === 'string') throw this.#malformed(key)
      if (key.length === keyBytes) return key
      const { length } = key
      key.fill(0)
      throw this.#malformed(`has ${length} bytes`)
    }
    if (binary === undefined) throw this.#malformed('has neither text nor bytes')
    if (binary.length !== keyBytes) throw this.#malformed(`has ${binary.length} bytes`)
    return binary
  }

  #malformed(problem: string): AsherahError {
    return new AsherahError(
      'ERR_KMS',
      `The secret '${this.id}' ${problem}; it must be 64 hexadecimal digits as text, or 32 bytes as a binary.`,
    )
  }

  async #send(command: object): Promise<object> {
    const client = this.#client as Sender
    const output = await sendWithin(client, command, `Secrets Manager, secret '${this.id}',`, this.#limitMs)
    return typeof output === 'object' && output !== null ? output : {}
  }
}

interface Sender {
  send(command: object, options: { readonly abortSignal: AbortSignal }): Promise<unknown>
}

interface Output {
  readonly SecretString?: string
  readonly SecretBinary?: Uint8Array
  readonly VersionId?: string
}

interface ListOutput {
  readonly Versions?: readonly { readonly VersionId?: string; readonly CreatedDate?: Date }[]
}
