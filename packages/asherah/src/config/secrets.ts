import type { DatabaseConnection } from './database-connection.ts'

/** What another thread needs to open the same backends: plain data, for a message that nobody else gets. */
export interface BackendSecrets {
  readonly connection?: DatabaseConnection | undefined
  readonly vaultToken?: string | undefined
  readonly vaultApproleSecretId?: string | undefined
}

/** What is secret in a configuration. Nothing of it shows when the object is logged or made into JSON. */
export class Secrets {
  readonly #staticMasterKey: Uint8Array | undefined
  readonly #connection: DatabaseConnection | undefined
  readonly #vaultToken: string | undefined
  readonly #vaultApproleSecretId: string | undefined

  constructor(values: {
    readonly staticMasterKey?: Uint8Array | undefined
    readonly connection?: DatabaseConnection | undefined
    readonly vaultToken?: string | undefined
    readonly vaultApproleSecretId?: string | undefined
  }) {
    this.#staticMasterKey = values.staticMasterKey
    this.#connection = values.connection
    this.#vaultToken = values.vaultToken
    this.#vaultApproleSecretId = values.vaultApproleSecretId
  }

  /** 32 bytes, where `kms` is static with a key that is `given` or `test`. To be moved into guarded memory at once. */
  get staticMasterKey(): Uint8Array | undefined {
    return this.#staticMasterKey
  }

  /** Where `metastore` is `rdbms`. */
  get connection(): DatabaseConnection | undefined {
    return this.#connection
  }

  /** Where `kms` is `vault` by `token`. */
  get vaultToken(): string | undefined {
    return this.#vaultToken
  }

  /** Where `kms` is `vault` by `approle` and one was given. */
  get vaultApproleSecretId(): string | undefined {
    return this.#vaultApproleSecretId
  }

  /** All but the master key, for the bridge's thread. */
  forBackends(): BackendSecrets {
    return {
      connection: this.#connection,
      vaultToken: this.#vaultToken,
      vaultApproleSecretId: this.#vaultApproleSecretId,
    }
  }

  /** Overwrites the master key. The rest is text, which JavaScript cannot overwrite. */
  wipe(): void {
    this.#staticMasterKey?.fill(0)
  }
}
