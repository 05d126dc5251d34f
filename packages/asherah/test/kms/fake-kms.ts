import { randomBytes } from 'node:crypto'
import type { DecryptCommandInput, EncryptCommandInput, KMSClient } from '@aws-sdk/client-kms'
import { open, seal } from '../support/world.ts'

/** One region's KMS behind the SDK's client interface: it sees the commands, not the wire. */
export class FakeKms {
  readonly region: string
  readonly arn: string
  /** Names of the commands, with their KeyId. */
  readonly calls: string[] = []
  /** What each call throws while it is set. */
  failure: unknown
  /** Calls that are answered only when their signal aborts them. */
  silent = false
  destroyed = false
  /** The bytes of every plaintext that was given or answered, as the same objects. */
  readonly lent: Uint8Array[] = []
  readonly #key: Uint8Array
  readonly #fixed: ReadonlyMap<string, Uint8Array>

  /** `fixed`: blobs, as Latin-1 text, that open to given bytes. */
  constructor(region: string, options: { key?: Uint8Array; fixed?: ReadonlyMap<string, Uint8Array> } = {}) {
    this.region = region
    this.arn = `arn:aws:kms:${region}:111122223333:key/${region}`
    this.#key = options.key ?? randomBytes(32)
    this.#fixed = options.fixed ?? new Map()
  }

  get client(): KMSClient {
    const client = {
      config: { region: async () => this.region },
      send: (command: object, options: { abortSignal: AbortSignal }) =>
        this.#send(command, options.abortSignal),
      destroy: () => {
        this.destroyed = true
      },
    }
    return client as unknown as KMSClient
  }

  async #send(command: object, signal: AbortSignal): Promise<object> {
    const name = command.constructor.name.replace('Command', '')
    const { input } = command as { input: { KeyId?: string } }
    this.calls.push(`${name} ${input.KeyId}`)
    if (this.silent) {
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')))
      })
    }
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure !== undefined) throw this.failure
    switch (name) {
      case 'GenerateDataKey': {
        const plaintext = this.#lend(randomBytes(32))
        return { Plaintext: plaintext, CiphertextBlob: seal(plaintext, this.#key), KeyId: this.arn }
      }
      case 'Encrypt': {
        const { Plaintext: plaintext = new Uint8Array() } = input as EncryptCommandInput
        return { CiphertextBlob: seal(this.#lend(plaintext), this.#key), KeyId: this.arn }
      }
      default: {
        const { CiphertextBlob: blob = new Uint8Array() } = input as DecryptCommandInput
        const fixed = this.#fixed.get(Buffer.from(blob).toString('latin1'))
        return { Plaintext: this.#lend(fixed === undefined ? open(blob, this.#key) : Uint8Array.from(fixed)) }
      }
    }
  }

  #lend(bytes: Uint8Array): Uint8Array {
    this.lent.push(bytes)
    return bytes
  }
}

/** An error as the SDK makes them. */
export function serviceError(name: string): Error {
  return Object.assign(new Error(`${name} of the fake`), { name, $fault: 'client' })
}
