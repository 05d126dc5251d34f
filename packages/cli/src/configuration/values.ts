import type { KeySpec } from 'asherah/admin'
import { parseDuration } from './duration.ts'

/** A value that was read, or what is wrong with its text, as the rest of a sentence. */
export type Parsed = { readonly value: unknown } | { readonly problem: string }

/** What a text on a command line or in a variable stands for. Numbers of seconds or milliseconds may be durations. */
export function parseValue(text: string, { type }: KeySpec): Parsed {
  switch (type.kind) {
    case 'flag':
      return flag(text)
    case 'integer':
      return integer(text, type.unit)
    case 'texts':
      return { value: text.split(',').flatMap((item) => (item.trim() === '' ? [] : [item.trim()])) }
    case 'map':
      return map(text)
    default:
      return { value: text }
  }
}

function flag(text: string): Parsed {
  if (/^(?:1|true|yes|on)$/i.test(text)) return { value: true }
  return /^(?:0|false|no|off)$/i.test(text) ? { value: false } : { problem: 'must be true or false' }
}

function integer(text: string, unit: string): Parsed {
  if (/^[+-]?\d{1,15}$/.test(text)) return { value: Number(text) }
  const scale = unit === 'seconds' ? 1000 : unit === 'milliseconds' ? 1 : undefined
  if (scale === undefined) return { problem: `must be a whole number of ${unit}` }
  const milliseconds = parseDuration(text)
  if (milliseconds === undefined) {
    return { problem: `must be a duration such as 90m or 1h30m, or a whole number of ${unit}` }
  }
  return { value: milliseconds / scale }
}

/** `a=1,b=2`, or a JSON object. */
function map(text: string): Parsed {
  if (text.trimStart().startsWith('{')) {
    try {
      return { value: JSON.parse(text) as unknown }
    } catch {
      return { problem: 'begins as a JSON object and is none' }
    }
  }
  const members = text.split(',').map((member) => {
    const equals = member.indexOf('=')
    return [member.slice(0, Math.max(equals, 0)).trim(), member.slice(equals + 1).trim()] as const
  })
  if (members.some(([name]) => name === ''))
    return { problem: 'must be NAME=VALUE,NAME=VALUE or a JSON object' }
  return { value: Object.fromEntries(members) }
}
