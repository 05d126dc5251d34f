import { durationMs } from './duration.ts'
import type { FlagKind } from './serve-flags.ts'

/** A value, or what is wrong with its text, as the rest of a sentence that ends with what to type. */
export type FlagValue = { readonly value: unknown } | { readonly problem: string }

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
export function flagValue(text: string, kind: FlagKind, bareUnitMs = 1000): FlagValue {
  switch (kind) {
    case 'boolean':
      if (/^(?:1|true|yes|on)$/i.test(text)) return { value: true }
      return /^(?:0|false|no|off)$/i.test(text) ? { value: false } : { problem: 'must be true or false' }
    case 'duration': {
      const ms = durationMs(text, bareUnitMs)
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
      return { value: text.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])) }
    case 'map':
      return map(text)
    default:
      return { value: text }
  }
}

function bytes(text: string): FlagValue {
  const [, count = '', unit = ''] = /^(\d{1,15})(B|KiB|MiB|GiB)?$/.exec(text) ?? []
  const value = count === '' ? Number.NaN : Number(count) * (byteUnits[unit] ?? Number.NaN)
  return Number.isSafeInteger(value) ? { value } : { problem: 'must be a number of bytes, such as 128MiB' }
}

/** `R1=ARN1,R2=ARN2` with white space anywhere, or a JSON object. */
function map(text: string): FlagValue {
  if (text.trimStart().startsWith('{')) {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      // The parser's own message would show a piece of the text.
      return { problem: 'begins as a JSON object and is none; type REGION=ARN,REGION=ARN' }
    }
  }
  const members = text.split(',').flatMap((member) => {
    if (member.trim() === '') return []
    const equals = member.indexOf('=')
    return [[member.slice(0, Math.max(equals, 0)).trim(), member.slice(equals + 1).trim()] as const]
  })
  return members.length === 0 || members.some(([name, value]) => name === '' || value === '')
    ? { problem: 'must be REGION=ARN,REGION=ARN or a JSON object' }
    : { value: Object.fromEntries(members) }
}
