import type { Config } from 'asherah/admin'
import { formatDuration } from './configuration/duration.ts'
import { shownTime } from './times.ts'

/** When every process with this configuration has seen a change of the metastore: twice the check interval and one load. */
export interface Bound {
  readonly milliseconds: number
  readonly seenBy: string
}

export function boundOf({ policy, callTimeoutMs }: Config, now = Date.now()): Bound {
  const milliseconds = 2 * policy.checkIntervalSeconds * 1000 + callTimeoutMs
  return { milliseconds, seenBy: shownTime(Math.ceil((now + milliseconds) / 1000)) }
}

export function boundText({ policy, callTimeoutMs }: Config, bound: Bound): string {
  return (
    `Every process with this configuration has seen it by ${bound.seenBy}: twice checkInterval ` +
    `(${formatDuration(policy.checkIntervalSeconds * 1000)}) and one load (at most ${formatDuration(callTimeoutMs)}), ` +
    'while the metastore can be reached.'
  )
}
