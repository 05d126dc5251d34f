import { AsherahError } from '../errors.ts'
import { isKeyId } from '../metastore/key-record-json.ts'
import type { EnvelopeKeyRecord } from '../metastore/metastore.ts'
import type { DamagedRow, KeyPage, KeyQuery, KeyRow, RawRow, RowStore } from './key-row.ts'

/** The ids of rows that are no keys: the Rust peer keeps its configuration there (contract section 3.9). */
const reservedPrefix = '__asherah_internal_config_drift_guard_v1__:'

/** Attempts at a change that others undo by changing the same row. */
const mostAttempts = 10

/**
 * What an operator does with the rows of a metastore, beside what the library does: list, mark revoked, replace, delete. The
 * reserved row of contract section 3.9 is never seen or changed.
 *
 * @throws AsherahError `ERR_METASTORE`, `ERR_TIMEOUT`, `ERR_CLOSED`; `ERR_METASTORE_ROW_MALFORMED` for a single row that
 * cannot be understood.
 *
 * @example
 * ```ts
 * const admin = await openMetastoreAdmin(resolved)
 * for await (const row of admin.rows({ prefix: '_IK_tenant-42_' })) await admin.markRevoked(row.keyId, row.created)
 * await admin.close()
 * ```
 */
export class MetastoreAdmin {
  readonly #store: RowStore

  constructor(store: RowStore) {
    this.#store = store
  }

  /** One part of a list. */
  async list(query: KeyQuery = {}): Promise<KeyPage> {
    const { limit = 1000, ...which } = query
    if (!Number.isInteger(limit) || limit < 1 || limit > 100_000) {
      throw new AsherahError(
        'ERR_CONFIG_INVALID',
        'The limit of a list must be a whole number from 1 to 100000.',
      )
    }
    const page = await this.#store.page({ ...which, limit })
    const rows: KeyRow[] = []
    const damaged: DamagedRow[] = []
    for (const raw of page.rows) {
      if (raw.keyId.startsWith(reservedPrefix)) continue
      const row = understood(raw)
      if ('problem' in row) damaged.push(row)
      else rows.push(row)
    }
    return { rows, damaged, ...(page.next !== undefined && { next: page.next }) }
  }

  /** All rows of a list, part by part; `onDamaged` is told of each that cannot be understood. */
  async *rows(
    query: KeyQuery = {},
    onDamaged?: (row: DamagedRow) => void,
  ): AsyncGenerator<KeyRow, void, undefined> {
    let from = query.from
    do {
      const page = await this.list({ ...query, ...(from !== undefined && { from }) })
      for (const row of page.damaged) onDamaged?.(row)
      yield* page.rows
      from = page.next
    } while (from !== undefined)
  }

  /** The row of exactly this id and time (Unix seconds). */
  async get(keyId: string, created: number): Promise<KeyRow | undefined> {
    if (!isAdministered(keyId) || !Number.isSafeInteger(created)) return undefined
    const raw = await this.#store.get(keyId, created)
    return raw === undefined
      ? undefined
      : { keyId, created, record: raw.decode(created), version: raw.version }
  }

  /**
   * Marks a row as revoked, whatever others change in it meanwhile: `revoked` when it is now, `already` when it was,
   * `absent` when there is none. There is no way back.
   */
  async markRevoked(keyId: string, created: number): Promise<'revoked' | 'already' | 'absent'> {
    for (let attempt = 0; attempt < mostAttempts; attempt++) {
      const row = await this.get(keyId, created)
      if (row === undefined) return 'absent'
      if (row.record.revoked === true) return 'already'
      if (await this.replace(row, { ...row.record, revoked: true })) return 'revoked'
    }
    throw new AsherahError(
      'ERR_KEY_CONTENTION',
      `The key created at ${created} was changed by others ${mostAttempts} times while it was to be revoked. Try again.`,
    )
  }

  /** Puts a record in a row's place where the row is still as it was read; false, and nothing changed, where it is not. */
  async replace(row: KeyRow, record: EnvelopeKeyRecord): Promise<boolean> {
    refuseReserved(row.keyId)
    return this.#store.replace(row.keyId, row.created, row.version, record)
  }

  /** Deletes a row; false when there was none. What was sealed under the key can never be read again. */
  async remove(keyId: string, created: number): Promise<boolean> {
    refuseReserved(keyId)
    return this.#store.remove(keyId, created)
  }

  /** Ends what was opened for it. */
  async close(): Promise<void> {
    await this.#store.close()
  }
}

function understood(raw: RawRow): KeyRow | DamagedRow {
  const { keyId, created, shownTime, version } = raw
  try {
    if (created === undefined)
      throw new AsherahError('ERR_METASTORE_ROW_MALFORMED', 'The time is no whole second.')
    return { keyId, created, record: raw.decode(created), version }
  } catch (error) {
    if (!(error instanceof AsherahError)) throw error
    return { keyId, created: shownTime, problem: error.message }
  }
}

function isAdministered(keyId: string): boolean {
  return isKeyId(keyId) && !keyId.startsWith(reservedPrefix)
}

function refuseReserved(keyId: string): void {
  if (isAdministered(keyId)) return
  throw new AsherahError('ERR_METASTORE', 'The row is none of a key, so it is neither changed nor deleted.')
}
