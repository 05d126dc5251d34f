// Builds the Rust addon and puts it where the library looks for it. Cargo decides what has changed.
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { addonName } from '../packages/asherah/src/native/load.ts'
import { root, run } from './command.ts'

/** What cargo says of a compiled crate, as far as it is read here. */
interface Message {
  readonly reason: string
  readonly target?: { readonly name: string }
  readonly filenames?: readonly string[]
}

const args = [
  'build',
  '--release',
  '--locked',
  '--package',
  'asherah-node',
  '--message-format',
  'json-render-diagnostics',
]
const { code, output } = await run('cargo', args)
if (code === 0) place(library(output))
else console.error(output.replace(/^\{.*\}$\n?/gm, ''))
process.exitCode = code

function library(messages: string): string {
  for (const line of messages.split('\n').reverse()) {
    if (!line.startsWith('{"reason":"compiler-artifact"')) continue
    const { target, filenames = [] } = JSON.parse(line) as Message
    const file = filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
    if (target?.name === 'asherah_node' && file !== undefined) return file
  }
  throw new Error('cargo named no library of asherah-node')
}

/** Replaces the addon in one step: a process that has the old one loaded keeps it. */
function place(built: string): void {
  const addon = join(root, 'packages', 'asherah', 'native', addonName())
  if (existsSync(addon) && readFileSync(addon).equals(readFileSync(built))) return
  mkdirSync(dirname(addon), { recursive: true })
  const fresh = `${addon}.${process.pid}`
  try {
    copyFileSync(built, fresh)
    renameSync(fresh, addon)
  } finally {
    rmSync(fresh, { force: true })
  }
}
