import type { ManyCall, SessionHandle } from './binding.ts'
import { faultError } from './checked.ts'

/** What a call of many records answered. */
export interface Answers {
  /** How many inputs, from the first one on, have an answer. */
  readonly answered: number
  /** A result, or a number below 0, for each; and `miss` or `overdue` behind them when the next one needs its key first. */
  readonly values: unknown[]
}

/** @throws AsherahError the fault of the call itself, such as a session that is closed */
export function answersOf(
  call: ManyCall,
  session: SessionHandle,
  inputs: readonly unknown[],
  mode: number,
): Answers {
  let values: unknown[] = []
  const take = (...given: unknown[]): void => {
    values = given
  }
  const answered = call(session, mode, take, ...inputs)
  if (answered < 0) throw faultError(answered)
  return { answered, values }
}
