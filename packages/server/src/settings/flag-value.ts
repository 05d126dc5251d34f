import { type ParsedText, parseBoolean, parseDuration, parseList, parseMap } from 'asherah/admin'
import type { FlagKind } from './serve-flags.ts'

const byteUnits: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
}

/**
 * What the text of a flag or variable stands for: text, boolean, number of milliseconds (a bare number counts
 * `bareUnitMs`), whole number, bytes, permissions, list, or object of texts.
 */
export function flagValue(text: string, kind: FlagKind, bareUnitMs = 1000): ParsedText {
  switch (kind) {
    case 'boolean':
      return parseBoolean(text)
    case 'duration': {
      const ms = parseDuration(text, bareUnitMs)
      const bare = bareUnitMs === 1000 ? 'seconds' : 'milliseconds'
      return ms === undefined
        ? { problem: `must be a duration such as 90s or 1h30m, or a whole number of ${bare}` }
        : { value: ms }
    }
    case 'integer':
      return /^\d{1,15}$/.test(text)
        ? { value: Number(text) }
        : { problem: 'must be a whole number, such as 4' }
    case 'bytes':
      return bytes(text)
    case 'mode':
      return /^0?o?[0-7]{3}$/.test(text)
        ? { value: Number.parseInt(text.slice(-3), 8) }
        : { problem: 'must be three octal digits, such as 660' }
    case 'list':
      return { value: parseList(text) }
    case 'map':
      return parseMap(text, 'REGION=ARN')
    default:
      return { value: text }
  }
}

function bytes(text: string): ParsedText {
  const [, count = '', unit = ''] = /^(\d{1,15})(B|KiB|MiB|GiB)?$/.exec(text) ?? []
  const value = count === '' ? Number.NaN : Number(count) * (byteUnits[unit] ?? Number.NaN)
  return Number.isSafeInteger(value) ? { value } : { problem: 'must be a number of bytes, such as 128MiB' }
}
