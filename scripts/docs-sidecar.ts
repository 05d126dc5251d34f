/**
 * Writes the tables of `docs/sidecar.md` from the sidecar's flags. With `--check` it changes nothing and fails when they
 * differ.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { longName, type ServeFlag, serveFlags } from 'asherah-server'

const file = new URL('../docs/sidecar.md', import.meta.url)
const code = (text: string): string => `\`${text}\``

function table(flags: readonly ServeFlag[]): string {
  const rows = flags.map(({ flags: names, aliases, environment, description, default: value }) => {
    const others =
      aliases.length === 0 ? '' : ` (also ${aliases.map((alias) => code(longName(alias))).join(', ')})`
    return [
      `${code(names)}${others}`,
      environment.map(code).join(', '),
      value === undefined ? '–' : code(value),
      description,
    ]
  })
  return [['flag', 'variable', 'default', 'meaning'], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

/** The document with its tables, which stand between two comments each, made anew. */
export function withTables(document: string): string {
  const parts: Readonly<Record<string, string>> = {
    'own flags': table(serveFlags.filter(({ key }) => key === undefined)),
    "library's flags": table(serveFlags.filter(({ key }) => key !== undefined)),
  }
  return Object.entries(parts).reduce((text, [name, content]) => {
    const begin = `<!-- ${name}: made by scripts/docs-sidecar.ts -->\n`
    const end = `\n<!-- end of ${name} -->`
    const from = text.indexOf(begin)
    const to = text.indexOf(end, from)
    if (from < 0 || to < 0) throw new Error(`docs/sidecar.md has no place for: ${name}`)
    return `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`
  }, document)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const present = readFileSync(file, 'utf8')
  const wanted = withTables(present)
  if (present !== wanted && process.argv.includes('--check')) {
    console.error('docs/sidecar.md differs from the flags: run node scripts/docs-sidecar.ts')
    process.exitCode = 1
  } else if (present !== wanted) {
    writeFileSync(file, wanted)
  }
}
