/** A plain value or a promise of it: what a metastore or KMS may return. */
export type MaybePromise<T> = T | PromiseLike<T>

export function isPromiseLike<T>(value: MaybePromise<T>): value is PromiseLike<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}
