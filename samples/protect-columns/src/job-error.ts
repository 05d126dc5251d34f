/** What can end the job early. */
export type JobErrorCode =
  | 'ERR_ARGUMENT'
  | 'ERR_INPUT'
  | 'ERR_DATABASE'
  | 'ERR_MASTER_KEY'
  | 'ERR_MISMATCH'
  | 'ERR_STOPPED'

/** An end that one line tells whole: what was wrong, and the next thing to type. */
export class JobError extends Error {
  readonly code: JobErrorCode

  constructor(code: JobErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }

  /** 1: the database is not what the source is. 130: stopped by a signal. 2: the rest, which the user can put right. */
  get exitCode(): number {
    if (this.code === 'ERR_MISMATCH') return 1
    return this.code === 'ERR_STOPPED' ? 130 : 2
  }

  static {
    Object.defineProperty(JobError.prototype, 'name', {
      value: 'JobError',
      configurable: true,
      writable: true,
    })
  }
}
