import {
  type KeySpec,
  type ParsedText,
  parseBoolean,
  parseDuration,
  parseList,
  parseMap,
} from 'asherah/admin'

/** What a text on a command line or in a variable stands for. Numbers of seconds or milliseconds may be durations. */
export function parseValue(text: string, { type }: KeySpec): ParsedText {
  switch (type.kind) {
    case 'flag':
      return parseBoolean(text)
    case 'integer':
      return integer(text, type.unit)
    case 'texts':
      return { value: parseList(text) }
    case 'map':
      return parseMap(text, 'NAME=VALUE')
    default:
      return { value: text }
  }
}

function integer(text: string, unit: string): ParsedText {
  if (/^[+-]?\d{1,15}$/.test(text)) return { value: Number(text) }
  const scale = unit === 'seconds' ? 1000 : unit === 'milliseconds' ? 1 : undefined
  if (scale === undefined) return { problem: `must be a whole number of ${unit}` }
  const milliseconds = parseDuration(text)
  if (milliseconds === undefined) {
    return { problem: `must be a duration such as 90m or 1h30m, or a whole number of ${unit}` }
  }
  return { value: milliseconds / scale }
}
