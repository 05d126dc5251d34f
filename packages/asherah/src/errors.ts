/**
 * Every code that an {@link AsherahError} can carry. `docs/errors.md` says for each what happened and what to do.
 */
export type AsherahErrorCode =
  | 'ERR_CONFIG_INVALID'
  | 'ERR_NOT_BUILT_IN'
  | 'ERR_DRIVER_MISSING'
  | 'ERR_NOT_CONFIGURED'
  | 'ERR_ALREADY_CONFIGURED'
  | 'ERR_CLOSED'
  | 'ERR_PARTITION_INVALID'
  | 'ERR_PARTITION_UNSTORABLE'
  | 'ERR_TEXT_MALFORMED'
  | 'ERR_TEXT_NOT_UTF8'
  | 'ERR_PAYLOAD_TOO_LARGE'
  | 'ERR_RECORD_MALFORMED'
  | 'ERR_RECORD_FOREIGN'
  | 'ERR_RECORD_DATA_AUTHENTICATION'
  | 'ERR_RECORD_KEY_AUTHENTICATION'
  | 'ERR_KEY_NOT_FOUND'
  | 'ERR_KEY_CORRUPT'
  | 'ERR_KEY_CONTENTION'
  | 'ERR_KEY_TIME'
  | 'ERR_METASTORE'
  | 'ERR_METASTORE_ROW_MALFORMED'
  | 'ERR_KMS'
  | 'ERR_TIMEOUT'
  | 'ERR_WOULD_BLOCK'
  | 'ERR_BRIDGE'
  | 'ERR_MEMORY_LOCK_LIMIT'
  | 'ERR_MEMORY_CANARY'
  | 'ERR_MEMORY_FORKED'
  | 'ERR_MEMORY_WIPED'
  | 'ERR_MEMORY_EXHAUSTED'
  | 'ERR_ENTROPY'
  | 'ERR_HARDENING'
  | 'ERR_NATIVE_ADDON'
  | 'ERR_NATIVE_FAILURE'

/**
 * The base of every error of this library: `code` is stable, `message` says what was wrong and what to do, `cause` keeps
 * what a backend threw. No key, plaintext or connection password appears in any of them.
 *
 * @example
 * ```ts
 * try {
 *   session.decrypt(record)
 * } catch (error) {
 *   if (error instanceof AsherahError && error.code === 'ERR_RECORD_FOREIGN') return undefined
 *   throw error
 * }
 * ```
 */
export class AsherahError extends Error {
  readonly code: AsherahErrorCode

  constructor(code: AsherahErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    // On the prototype it would be lost to subclasses that set their own; as an enumerable member it would be printed twice.
    Object.defineProperty(this, 'name', { value: 'AsherahError', configurable: true, writable: true })
  }
}

/** The `TypeError` for an argument of a wrong type, with the code that Node itself uses. */
export function argumentError(name: string, expected: string, given: unknown): TypeError & { code: string } {
  const kind =
    given === null
      ? 'null'
      : typeof given === 'object'
        ? Object.prototype.toString.call(given).slice(8, -1)
        : typeof given
  return Object.assign(new TypeError(`${name} must be ${expected}, not ${kind}`), {
    code: 'ERR_INVALID_ARG_TYPE',
  })
}
