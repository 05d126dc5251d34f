import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'

/**
 * A piece of the engine's work: a generator that yields only what it has to wait for. Written once, it runs to its end at
 * once over backends that answer with plain values, and as a promise over those that do not.
 */
export type Work<T> = Generator<PromiseLike<unknown>, T, unknown>

/** The value of what a metastore or KMS returned, waiting only when it is a promise. */
export function* settled<T>(value: MaybePromise<T>): Work<T> {
  return isPromiseLike(value) ? ((yield value) as T) : value
}

/**
 * Runs the work: to its end when nothing in it has to wait, else to the first promise, and from there asynchronously. The
 * generator is never abandoned half-way.
 */
export function drive<T>(work: Work<T>): MaybePromise<T> {
  const step = work.next()
  return step.done === true ? step.value : driveLater(work, step.value)
}

async function driveLater<T>(work: Work<T>, first: PromiseLike<unknown>): Promise<T> {
  let waiting = first
  for (;;) {
    const [outcome] = await Promise.allSettled([waiting])
    const step = outcome.status === 'fulfilled' ? work.next(outcome.value) : work.throw(outcome.reason)
    if (step.done === true) return step.value
    waiting = step.value
  }
}
