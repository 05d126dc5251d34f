import { isDeepStrictEqual } from '../builtins.ts'
import { editDistance, nearest } from './nearest.ts'
import { displayed, type Findings } from './problems.ts'
import { type KeyName, keyNames, schema } from './schema.ts'
import { type Given, Settings } from './settings.ts'

export type SpellingStyle = 'camel' | 'pascal' | 'snake'

/** Words that are written in capitals as well: `productId` and `productID`, `Kms` and `KMS`. */
const acronyms: ReadonlySet<string> = new Set(['aws', 'db', 'id', 'k8s', 'kms', 'sql', 'tls'])

/** The spelling of a key in a style: the one that documentation and messages use. */
export function spell(name: string, style: SpellingStyle): string {
  if (style === 'camel') return name
  if (style === 'snake') return wordsOf(name).join('_')
  return Object.hasOwn(schema, name) ? schema[name as KeyName].canonical : capitalised(name)
}

/** Every accepted spelling of a camelCase name. */
export function spellingsOf(name: string): readonly string[] {
  const words = wordsOf(name)
  const [first = '', ...rest] = words
  const tails = rest.reduce<string[]>(
    (heads, word) => heads.flatMap((head) => capitalForms(word).map((form) => head + form)),
    [''],
  )
  const pascal = tails.flatMap((tail) => capitalForms(first).map((form) => form + tail))
  const snake = words.join('_')
  return [
    ...new Set([
      name,
      ...tails.map((tail) => first + tail),
      ...pascal,
      snake,
      snake.replace(/^dynamo_db/, 'dynamodb'),
    ]),
  ]
}

const namesBySpelling: ReadonlyMap<string, { readonly key: KeyName; readonly name: string }> = new Map(
  keyNames.flatMap((key) =>
    [key, ...(schema[key].aliases ?? [])].flatMap((name) =>
      spellingsOf(name).map((spelling) => [spelling, { key, name }] as const),
    ),
  ),
)

const allNames: readonly string[] = keyNames.flatMap((key) => [key, ...(schema[key].aliases ?? [])])

/** The key that a spelling stands for, or undefined. */
export function keyOf(spelling: string): KeyName | undefined {
  return namesBySpelling.get(spelling)?.key
}

/** Reads a configuration object, whatever the spelling of its keys; `null` and `undefined` members are not there. */
export function settingsFromObject(input: object, findings: Findings): Settings {
  const members = Object.entries(input).filter(([, value]) => value !== null && value !== undefined)
  const style = prevailingStyle(Object.keys(input))
  const given = new Map<KeyName, Given>()
  for (const [label, value] of members) {
    const key = keyOf(label)
    const earlier = key === undefined ? undefined : given.get(key)
    if (key === undefined) {
      findings.problem(label, `is not a known key; the nearest one is ${suggestion(label, style)}`)
    } else if (earlier === undefined) {
      given.set(key, { value, label })
    } else if (!isDeepStrictEqual(earlier.value, value)) {
      findings.problem(
        label,
        `is the same key as ${displayed(earlier.label)}, with another value; leave one out`,
      )
    }
  }
  return new Settings({
    origin: 'object',
    given,
    broken: new Set(),
    nameOf: (key) => spell(key, style),
    findings,
  })
}

/** The nearest known key, spelled as the user spells. */
export function suggestion(label: string, prevailing: SpellingStyle = 'camel'): string {
  const exact = allNames.find((name) => editDistance(label, name) === 0)
  return spell(exact ?? nearest(label, allNames) ?? '', styleOf(label) ?? prevailing)
}

/** Undefined where one lower-case word could be camelCase or snake_case. */
function styleOf(label: string): SpellingStyle | undefined {
  if (/^[A-Z]/.test(label)) return 'pascal'
  if (/.[A-Z]/.test(label)) return 'camel'
  return label.includes('_') ? 'snake' : undefined
}

function prevailingStyle(labels: readonly string[]): SpellingStyle {
  const counts = { camel: 0, pascal: 0, snake: 0 }
  for (const label of labels) {
    const style = styleOf(label)
    if (style !== undefined) counts[style]++
  }
  if (counts.pascal > counts.camel && counts.pascal >= counts.snake) return 'pascal'
  return counts.snake > counts.camel ? 'snake' : 'camel'
}

function wordsOf(name: string): readonly string[] {
  return name.split(/(?=[A-Z])/).map((word) => word.toLowerCase())
}

function capitalForms(word: string): readonly string[] {
  return acronyms.has(word) ? [capitalised(word), word.toUpperCase()] : [capitalised(word)]
}

function capitalised(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1)
}
