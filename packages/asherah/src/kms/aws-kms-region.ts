import type { KMSClient } from '@aws-sdk/client-kms'
import { sendWithin } from '../aws/aws-client.ts'
import { giveInRequest, takeFromAnswer, UnknownRequestForm } from '../aws/secret-members.ts'
import { AsherahError } from '../errors.ts'
import type { KeyHandle, NativeBinding } from '../native/binding.ts'
import type { RegionKek } from './aws-kms-envelope.ts'
import { importKey } from './handle-kms.ts'
import { readBase64 } from './secret-text.ts'

export type KmsModule = typeof import('@aws-sdk/client-kms')

const dataKeyBytes = 32

/** A data key and what one region sealed it as. The handle is the caller's to release. */
export interface NewDataKey {
  readonly key: KeyHandle
  readonly kek: RegionKek
}

/** One region's KMS key. Data keys reach guarded memory without becoming strings on the way. */
export class AwsKmsRegion {
  readonly region: string
  readonly keyId: string
  readonly #sdk: KmsModule
  readonly #client: KMSClient
  readonly #limitMs: number

  constructor(sdk: KmsModule, client: KMSClient, place: { region: string; keyId: string; limitMs: number }) {
    this.#sdk = sdk
    this.#client = client
    this.region = place.region
    this.keyId = place.keyId
    this.#limitMs = place.limitMs
  }

  async generate(native: NativeBinding): Promise<NewDataKey> {
    const command = new this.#sdk.GenerateDataKeyCommand({ KeyId: this.keyId, KeySpec: 'AES_256' })
    const { key, output } = await this.#receive(native, command)
    try {
      return { key, kek: this.#kek(output) }
    } catch (error) {
      native.keyRelease(key)
      throw error
    }
  }

  /** Seals a data key that another region made; the bytes are lent. */
  async encrypt(dataKey: Uint8Array): Promise<RegionKek> {
    const command = (): InstanceType<KmsModule['EncryptCommand']> =>
      new this.#sdk.EncryptCommand({ KeyId: this.keyId, Plaintext: dataKey })
    const quiet = command()
    giveInRequest(quiet, 'Plaintext', dataKey)
    try {
      return this.#kek(await this.#send(quiet))
    } catch (error) {
      if (!(error instanceof UnknownRequestForm)) throw error
      return this.#kek(await this.#send(command()))
    }
  }

  /** The data key behind an entry; the handle is the caller's to release. */
  async decrypt(native: NativeBinding, encryptedKek: Uint8Array): Promise<KeyHandle> {
    const command = new this.#sdk.DecryptCommand({ KeyId: this.keyId, CiphertextBlob: encryptedKek })
    const { key } = await this.#receive(native, command)
    return key
  }

  async #receive(native: NativeBinding, command: object): Promise<{ key: KeyHandle; output: Output }> {
    let plaintext: Uint8Array | undefined
    let output: Output | undefined
    try {
      takeFromAnswer(command, ['Plaintext'], (_, content) => {
        plaintext?.fill(0)
        plaintext = readBase64(content)
      })
      output = await this.#send(command)
      const bytes = plaintext ?? output.Plaintext
      if (bytes?.length !== dataKeyBytes) throw new TypeError('the answer has no data key of 32 bytes')
      return { key: importKey(native, bytes), output }
    } finally {
      plaintext?.fill(0)
      output?.Plaintext?.fill(0)
    }
  }

  #kek({ CiphertextBlob: encryptedKek, KeyId: arn }: Output): RegionKek {
    if (!(encryptedKek instanceof Uint8Array) || encryptedKek.length === 0) {
      throw new TypeError('the answer has no sealed data key')
    }
    return { region: this.region, arn: arn ?? this.keyId, encryptedKek }
  }

  async #send(command: object): Promise<Output> {
    const what = `AWS KMS of the region '${this.region}'`
    const output = await sendWithin(this.#client as Sender, command, what, this.#limitMs)
    if (typeof output === 'object' && output !== null) return output
    throw new AsherahError('ERR_KMS', `${what} gave no answer.`)
  }
}

interface Sender {
  send(command: object, options: { readonly abortSignal: AbortSignal }): Promise<unknown>
}

/** What the three calls answer with, between them. */
interface Output {
  readonly Plaintext?: Uint8Array
  readonly CiphertextBlob?: Uint8Array
  readonly KeyId?: string
}
