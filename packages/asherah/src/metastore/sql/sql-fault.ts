import { AsherahError } from '../../errors.ts'

/**
 * What a driver threw, as it may be shown: its message and numbers. The drivers' own errors carry whole statements and
 * pieces of rows along.
 */
export class SqlFault extends Error {
  /** SQLSTATE of Postgres, the name of a MySQL error, or that of a system error such as `ECONNREFUSED`. */
  readonly code: string | undefined
  /** MySQL's number. */
  readonly errno: number | undefined

  constructor(error: unknown) {
    super(messageOf(error))
    const { code, errno } = (typeof error === 'object' && error !== null ? error : {}) as {
      readonly code?: unknown
      readonly errno?: unknown
    }
    this.code = typeof code === 'string' ? code : undefined
    this.errno = typeof errno === 'number' ? errno : undefined
  }

  static {
    Object.defineProperty(SqlFault.prototype, 'name', {
      value: 'SqlFault',
      configurable: true,
      writable: true,
    })
  }
}

/** What the driver threw, whether it has become a typed error already or not. */
export function faultOf(error: unknown): SqlFault {
  const fault = error instanceof AsherahError ? error.cause : error
  return fault instanceof SqlFault ? fault : new SqlFault(fault)
}

/** An error of a statement or connection: what it means and what to do, then what the database itself said. */
export function sqlError(label: string, action: string, meaning: string, error: unknown): AsherahError {
  const cause = new SqlFault(error)
  return new AsherahError(
    'ERR_METASTORE',
    `The ${label} could not be ${action}: ${meaning} (${cause.message.replace(/[.\s]+$/, '')}).`,
    { cause },
  )
}

/**
 * The error for a row that answers to an id without having it: another key's, in a column that ignores the difference. It
 * is one row's fault, not the store's, so that keys which are asked for beside it are not refused with it.
 */
export function confusedIdError(label: string, keyId: string, remedy: string): AsherahError {
  return new AsherahError(
    'ERR_METASTORE_ROW_MALFORMED',
    `The ${label} holds a key whose id its table does not tell from ${JSON.stringify(keyId)}: they differ only in case, ` +
      `accents or trailing spaces, and keys of different ids must never be mixed up. ${remedy}`,
  )
}

/** Connecting to a name with several addresses fails with one error for each, and none of its own. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : 'an error without a message'
}
