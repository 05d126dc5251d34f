/** What a database answered to one statement. */
export interface SqlAnswer {
  /** Values in the order of the statement's columns: text, bytes or null. */
  readonly rows: readonly (readonly unknown[])[]
  /** How many rows were inserted. */
  readonly affected: number
}

/** Texts, or lists of texts where the dialect has arrays. */
export type SqlValue = string | readonly string[]

/** One connection to a database, whichever driver it is of. It runs one statement at a time. */
export interface SqlConnection {
  /** False from the moment that the connection can answer nothing more. */
  readonly usable: boolean
  query(text: string, values?: readonly SqlValue[]): Promise<SqlAnswer>
  /** Called once, when the connection breaks while nobody uses it. */
  onBroken(listener: () => void): void
  /** Takes leave of the server; resolves when the socket is closed. */
  end(): Promise<void>
  /** Frees the socket at once. Calls in flight fail. */
  destroy(): void
  /** Whether the connection keeps the process alive. */
  keepsAlive(value: boolean): void
}

/** A connection that is on its way. */
export interface OpeningConnection extends SqlConnection {
  /** Resolves when the server has let the account in. */
  readonly ready: Promise<void>
}

/** A connection taken for one call. */
export interface Lease {
  readonly connection: SqlConnection
  /** Whether it was open before: then the server may have gone away since. */
  readonly reused: boolean
  /** Gives it back; one that is not usable is not kept. Called once. */
  release(): void
}

/** Where connections come from: our own pool, or one that the user passed. */
export interface ConnectionSource {
  /** `fresh`: one that was not open before, where the source can tell. */
  acquire(fresh: boolean): Promise<Lease>
  close(): Promise<void>
}
