import { AsherahError } from '../errors.ts'
import type { Work } from './work.ts'

/** Rejects when the answer takes too long. What was asked goes on, and its answer is not lost to others who wait for it. */
export function withinLimit<T>(answer: PromiseLike<T>, limitMs: number, keepsAlive = true): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(timeoutError(limitMs)), limitMs)
    if (!keepsAlive) timer.unref()
    answer.then(
      (value) => {
        clearTimeout(timer)
        resolve(value)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

/**
 * The same work, with each of its waits ended by `ERR_TIMEOUT` after `limitMs`: work that a backend never answers would
 * else never end, and whoever asks the same later would wait for it for ever. `keepsAlive`: whether the waiting keeps the
 * process alive, as it must where a caller waits and nobody else keeps the time.
 */
export function* limited<T>(work: Work<T>, limitMs: number, keepsAlive: boolean): Work<T> {
  let step = work.next()
  while (step.done !== true) {
    let answer: unknown
    try {
      answer = yield withinLimit(step.value, limitMs, keepsAlive)
    } catch (error) {
      step = work.throw(error)
      continue
    }
    step = work.next(answer)
  }
  return step.value
}

export function timeoutError(limitMs: number): AsherahError {
  return new AsherahError(
    'ERR_TIMEOUT',
    `The metastore or KMS did not answer within ${limitMs} ms (callTimeout). Keys in memory serve on.`,
  )
}

export function isTimeout(error: unknown): boolean {
  return error instanceof AsherahError && error.code === 'ERR_TIMEOUT'
}
