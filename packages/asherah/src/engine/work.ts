import { isPromiseLike, type MaybePromise } from '../maybe-promise.ts'
import type { TimeLimit } from './time-limit.ts'

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
 * generator is never abandoned half-way. `limit` ends each of its waits with `ERR_TIMEOUT`: work that a backend never
 * answers would else never end, and whoever asks the same later would wait for it for ever.
 */
export function drive<T>(work: Work<T>, limit?: TimeLimit): MaybePromise<T> {
  const step = work.next()
  return step.done === true ? step.value : driveLater(work, step.value, limit)
}

async function driveLater<T>(
  work: Work<T>,
  first: PromiseLike<unknown>,
  limit: TimeLimit | undefined,
): Promise<T> {
  let waiting = first
  for (;;) {
    let answer: unknown
    let failed = false
    try {
      answer = await (limit === undefined ? waiting : limit.on(waiting))
    } catch (error) {
      answer = error
      failed = true
    }
    const step = failed ? work.throw(answer) : work.next(answer)
    if (step.done === true) return step.value
    waiting = step.value
  }
}
