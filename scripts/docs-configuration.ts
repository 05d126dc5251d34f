/**
 * Writes the tables of `docs/configuration.md` from the schema. With `--check` it changes nothing and fails when they
 * differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import {
  foreignVariables,
  type KeyGroup,
  type KeyName,
  keyNames,
  schema,
} from '../packages/asherah/src/config/schema.ts'
import { spell } from '../packages/asherah/src/config/spellings.ts'

const file = new URL('../docs/configuration.md', import.meta.url)

const groups: readonly { readonly group: KeyGroup; readonly title: string }[] = [
  { group: 'identity', title: 'Whose keys' },
  { group: 'metastore', title: 'Metastore' },
  { group: 'kms', title: 'Key management service' },
  { group: 'policy', title: 'Policy and time' },
  { group: 'cache', title: 'Caches' },
  { group: 'memory', title: 'Memory' },
  { group: 'hooks', title: 'Hooks' },
  { group: 'without effect', title: 'Accepted, without effect here' },
]

function keyTables(): string {
  return groups
    .map(({ group, title }) => {
      const rows = keyNames.filter((key) => schema[key].group === group).map(keyRow)
      return `### ${title}\n\n${table(['key', 'spelled also', 'type', 'default', 'variable', 'meaning'], rows)}`
    })
    .join('\n\n')
}

function keyRow(key: KeyName): readonly string[] {
  const { aliases = [], appliesTo, environment, environmentDefault, meaning } = schema[key]
  const spelled = [key, ...aliases].flatMap((name) => [spell(name, 'pascal'), spell(name, 'snake')])
  const others = [...new Set([...aliases, ...spelled])].filter((spelling) => spelling !== key)
  const variables = environment.map(code).join(', ')
  return [
    code(key),
    others.map(code).join(', '),
    typeOf(key),
    defaultOf(key),
    environmentDefault === undefined ? variables : `${variables} (default ${code(environmentDefault)})`,
    appliesTo === undefined ? meaning : `${meaning} For ${appliesTo}.`,
  ]
}

function typeOf(key: KeyName): string {
  const { type } = schema[key]
  switch (type.kind) {
    case 'text':
      return 'text'
    case 'secret':
      return 'text, secret'
    case 'flag':
      return 'boolean'
    case 'integer':
      return `integer, ${type.unit}, ${type.min} to ${type.max}`
    case 'choice':
      return type.names.map(code).join(', ')
    case 'texts':
      return 'list of texts; in the variable separated by commas'
    case 'map':
      return 'object of texts'
    case 'backend':
      return `${type.names.map(code).join(', ')}; object with ${type.methods.map(code).join(', ')}; \`file:\` URL`
    case 'clock':
      return 'object'
  }
}

function defaultOf(key: KeyName): string {
  const { default: value, required } = schema[key]
  if (required) return 'required'
  return value === undefined ? '–' : code(String(value))
}

function foreignTable(): string {
  return table(
    ['variable', 'here'],
    foreignVariables.map(({ name, meaning }) => [code(name), meaning]),
  )
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return `\`${text}\``
}

/** The document with its generated parts, which stand between two comments each, made anew. */
function withTables(document: string): string {
  const parts: Readonly<Record<string, string>> = { keys: keyTables(), 'foreign variables': foreignTable() }
  return Object.entries(parts).reduce((text, [name, content]) => {
    const begin = `<!-- ${name}: made by scripts/docs-configuration.ts -->\n`
    const end = `\n<!-- end of ${name} -->`
    const from = text.indexOf(begin)
    const to = text.indexOf(end, from)
    if (from < 0 || to < 0) throw new Error(`docs/configuration.md has no place for: ${name}`)
    return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`
  }, document)
}

const present = readFileSync(file, 'utf8')
const wanted = withTables(present)
if (process.argv.includes('--check')) {
  if (present !== wanted) {
    console.error('docs/configuration.md differs from the schema: run node scripts/docs-configuration.ts')
    process.exitCode = 1
  }
} else if (present !== wanted) {
  writeFileSync(file, wanted)
}
