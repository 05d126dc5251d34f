import { parseDuration } from 'asherah/admin'
import { CommandError } from './command-error.ts'
import { formatDuration } from './configuration/duration.ts'

/** Unix seconds as `2026-11-22T08:00:00Z`. */
export function shownTime(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString().replace('.000Z', 'Z')
}

/** How long ago a time in Unix seconds was, `3d 4h`. */
export function shownAge(seconds: number, now = Date.now()): string {
  return formatDuration(Math.floor(now / 1000 - seconds) * 1000)
}

/** Milliseconds of a duration that was typed. */
export function typedDuration(flag: string, text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds !== undefined) return milliseconds
  throw new CommandError('ERR_USAGE', `${flag} must be a duration such as 90d, 12h or 1h30m`)
}

/** Unix seconds of a time that was typed: ISO 8601, or Unix seconds. */
export function typedTime(flag: string, text: string): number {
  const seconds = /^\d{1,12}$/.test(text) ? Number(text) : Date.parse(text) / 1000
  if (Number.isFinite(seconds)) return Math.floor(seconds)
  throw new CommandError('ERR_USAGE', `${flag} must be a time such as 2026-11-22T08:00:00Z, or Unix seconds`)
}
