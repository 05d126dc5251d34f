import { AsherahError } from '../../errors.ts'

/**
 * The outcome of `work`, or `ERR_TIMEOUT` when it takes longer than `milliseconds`; `onTimeout` then frees what the work
 * holds. Work that settles later is ignored.
 */
export function withDeadline<T>(
  work: Promise<T>,
  milliseconds: number,
  message: string,
  onTimeout: () => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new AsherahError('ERR_TIMEOUT', message))
      onTimeout()
    }, milliseconds)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
