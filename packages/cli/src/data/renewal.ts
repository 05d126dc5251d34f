import { AsherahError, clearPlaintext, type DecryptedItem, type SessionFactory } from 'asherah'
import type { KeyMeta, MetastoreAdmin } from 'asherah/admin'
import { CommandError } from '../command-error.ts'
import { shownTime } from '../times.ts'
import { byPartition, type Outcome, type Owned } from './by-partition.ts'
import { keyOfRecord } from './record-key.ts'

/** Which records are sealed anew. */
export interface Staleness {
  /** Those whose intermediate key was created before; Unix seconds. */
  readonly before: number | undefined
  /** Those whose intermediate key is marked as revoked. */
  readonly revoked: boolean
}

/** What is to be done with one record, or was. */
export type Renewed =
  /** Its key is neither too old nor revoked. */
  | { readonly kind: 'current' }
  /** It is under a key that is left behind; `record` is what takes its place, absent in a dry run. */
  | { readonly kind: 'stale'; readonly record?: string }
  /** It is no record, or does not decrypt; it is left as it is. */
  | { readonly kind: 'unreadable'; readonly why: string }

/** Most keys whose state is remembered. */
const rememberedKeys = 100_000

/** Seals records anew whose key is to be left behind. */
export class Renewal {
  readonly #factory: SessionFactory
  readonly #admin: MetastoreAdmin
  readonly #staleness: Staleness
  readonly #dryRun: boolean
  /** By key; what is revoked stays so, and what is not may be missed by a moment. */
  readonly #revoked = new Map<string, boolean>()

  constructor(factory: SessionFactory, admin: MetastoreAdmin, staleness: Staleness, dryRun: boolean) {
    this.#factory = factory
    this.#admin = admin
    this.#staleness = staleness
    this.#dryRun = dryRun
  }

  /**
   * What becomes of each record, in their order. A new record was decrypted again, and its plaintext is the old one's.
   *
   * @throws CommandError `ERR_CONFLICT` when the key that records are sealed under now is to be left behind itself,
   * `ERR_NOT_PROVEN`
   * @throws AsherahError for what is no single record's fault
   */
  async renew(records: readonly Owned<string>[]): Promise<readonly Renewed[]> {
    const found = await Promise.all(records.map(({ value }) => this.#judge(value)))
    const stale = records.filter((_, index) => found[index]?.kind === 'stale')
    if (this.#dryRun || stale.length === 0) return found
    const answers = (await byPartition(this.#factory, stale, resealed)).values()
    const renewed: Renewed[] = []
    for (const judged of found) {
      const answer = judged.kind === 'stale' ? answers.next().value : undefined
      if (answer === undefined) renewed.push(judged)
      else if (answer.error !== undefined) renewed.push(unreadable(answer.error))
      else {
        await this.#requireCurrent(answer.value)
        renewed.push({ kind: 'stale', record: answer.value })
      }
    }
    return renewed
  }

  async #judge(record: string): Promise<Renewed> {
    const key = keyOfRecord(record)
    if (key === undefined) return { kind: 'unreadable', why: 'it is no record' }
    return { kind: (await this.#isStale(key)) ? 'stale' : 'current' }
  }

  async #isStale(key: KeyMeta): Promise<boolean> {
    const { before, revoked } = this.#staleness
    if (before !== undefined && key.created < before) return true
    return revoked && (await this.#isRevoked(key))
  }

  async #isRevoked({ keyId, created }: KeyMeta): Promise<boolean> {
    const name = `${created} ${keyId}`
    const known = this.#revoked.get(name)
    if (known !== undefined) return known
    const row = await this.#admin.get(keyId, created)
    const revoked = row?.record.revoked === true
    if (this.#revoked.size >= rememberedKeys) this.#revoked.clear()
    this.#revoked.set(name, revoked)
    return revoked
  }

  /** A key that is never rotated would have every run do the same work again. */
  async #requireCurrent(record: string): Promise<void> {
    const key = keyOfRecord(record)
    if (key !== undefined && !(await this.#isStale(key))) return
    const name = key === undefined ? 'unknown' : `${JSON.stringify(key.keyId)} of ${shownTime(key.created)}`
    throw new CommandError(
      'ERR_CONFLICT',
      `the latest key ${name} is itself one that is to be left behind`,
      'rotate first: asherah keys rotate --service --older-than DURATION --yes',
    )
  }
}

/** Opens records, seals what they hold, opens that again, and wipes all plaintext. */
async function resealed(
  session: Parameters<Parameters<typeof byPartition<string, string>>[2]>[0],
  records: readonly string[],
): Promise<readonly Outcome<string>[]> {
  const old = await session.decryptManyAsync(records)
  let again: DecryptedItem[] = []
  try {
    const readable = old.flatMap(({ data }) => data ?? [])
    const sealed = await session.encryptManyAsync(readable)
    const texts = sealed.map(({ record, error }) => {
      // What an old record held can always be sealed, so this is the key's fault, or the machine's.
      if (error !== undefined) throw error
      return record
    })
    again = await session.decryptManyAsync(texts)
    for (const [index, { data, error }] of again.entries()) {
      if (error !== undefined) throw error
      if (readable[index]?.equals(data) !== true) throw notTheSame()
    }
    const answers = texts.values()
    return old.map(({ error }) => {
      if (error !== undefined) return { error }
      return { value: answers.next().value ?? '' }
    })
  } finally {
    for (const { data } of [...old, ...again]) clearPlaintext(data)
  }
}

/** @throws what is no single record's fault: it would be the next one's too */
function unreadable(error: Error): Renewed {
  const ofTheRecord =
    error instanceof AsherahError &&
    (/^ERR_(?:RECORD|PARTITION)_/.test(error.code) ||
      [
        'ERR_KEY_NOT_FOUND',
        'ERR_KEY_CORRUPT',
        'ERR_PAYLOAD_TOO_LARGE',
        'ERR_METASTORE_ROW_MALFORMED',
      ].includes(error.code))
  if (!ofTheRecord) throw error
  return { kind: 'unreadable', why: `it does not decrypt (${error.code})` }
}

function notTheSame(): CommandError {
  return new CommandError(
    'ERR_NOT_PROVEN',
    'a new record does not hold what the old one held; it was not used',
  )
}
