import { AsherahError } from '../errors.ts'

/** Has a client of the AWS SDK ended with the KMS that made it. */
export type KeepClient = <Client extends { destroy(): void }>(client: Client) => Client

/**
 * What a KMS of AWS works with: opened when it is first needed, once, and again after a failure. The clients that were made
 * for it are ended on `close`, and when the opening failed.
 */
export class AwsClients<Opened> {
  readonly #name: string
  readonly #open: (keep: KeepClient) => Promise<Opened>
  readonly #made: { destroy(): void }[] = []
  #opening: Promise<Opened> | undefined
  #closed = false

  /** `name`: what errors call the KMS. */
  constructor(name: string, open: (keep: KeepClient) => Promise<Opened>) {
    this.#name = name
    this.#open = open
  }

  async opened(): Promise<Opened> {
    this.#refuseWhenClosed()
    this.#opening ??= this.#openNow()
    return this.#opening
  }

  /** May be called again. */
  close(): void {
    this.#closed = true
    this.#end()
  }

  async #openNow(): Promise<Opened> {
    try {
      const opened = await this.#open((client) => {
        this.#made.push(client)
        return client
      })
      this.#refuseWhenClosed()
      return opened
    } catch (error) {
      this.#opening = undefined
      this.#end()
      throw error
    }
  }

  #end(): void {
    for (const client of this.#made.splice(0)) client.destroy()
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new AsherahError('ERR_CLOSED', `${this.#name} was closed: make a new one.`)
  }
}
