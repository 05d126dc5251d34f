// The copy of the Rust crates in which all mutants are made, of which each run of a test chooses one: a copy for each would be
// compiled some forty times.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { addonMutants } from '../packages/asherah/test/native/addon-mutants.ts'
import { nativeMutants } from '../packages/asherah/test/native/mutants.ts'
import { root, run } from './command.ts'

/** Where the copy is. */
export const copy = join(root, 'build', 'mutants')
/** Says which mutant a run of a test is of; without it, of none. */
const variable = 'ASHERAH_MUTANT'

const original = join(root, 'native')
const crates = { core: nativeMutants, node: addonMutants }
const all: readonly { readonly name: string }[] = [...nativeMutants, ...addonMutants]

/** Of the copy alone; nothing of the kind is in what is shipped. */
const switches = `
mod mutants {
    pub(crate) fn is(number: u32) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("${variable}").ok()?.parse().ok()) == Some(number)
    }
}
`

/** What cargo made, as far as it is read here. */
export interface Artifact {
  readonly target: { readonly name: string; readonly kind: readonly string[] }
  readonly filenames: readonly string[]
  readonly executable: string | null
}

/** The environment of a test that is run with this mutant, or with none. */
export function environment(mutant?: { readonly name: string }): NodeJS.ProcessEnv {
  return mutant === undefined ? process.env : { ...process.env, [variable]: numberOf(mutant) }
}

function numberOf(mutant: { readonly name: string }): string {
  return String(all.indexOf(mutant))
}

/** Makes the copy of today's sources. */
export function prepareCopy(): void {
  takeDependencies()
  makeCopy()
}

/** What cargo, told these words, makes in the copy; or what the compiler has against it. */
export async function compileCopy(words: readonly string[]): Promise<readonly Artifact[] | string> {
  const { code, output } = await run('cargo', [...words, '--message-format', 'json-render-diagnostics'], {
    cwd: copy,
    env: { ...process.env, CARGO_TARGET_DIR: join(copy, 'target') },
  })
  if (code !== 0) return output.replace(/^\{.*\}$\n?/gm, '')
  const lines = output.split('\n').filter((line) => line.startsWith('{"reason":"compiler-artifact"'))
  return lines.map((line) => JSON.parse(line) as Artifact)
}

/** Writes only what differs, because cargo goes by the time of a change. */
function makeCopy(): void {
  const wanted = new Map<string, string>()
  const workspace = readFileSync(join(root, 'Cargo.toml'), 'utf8')
  wanted.set('Cargo.toml', workspace.replace(/^members = .*$/m, 'members = ["core", "node"]'))
  for (const [crate, mutants] of Object.entries(crates)) {
    for (const file of globSync('{Cargo.toml,build.rs,{src,tests}/**/*.rs}', { cwd: join(original, crate) }))
      wanted.set(join(crate, file), readFileSync(join(original, crate, file), 'utf8'))
    for (const mutant of mutants) {
      const file = join(crate, 'src', mutant.file)
      const parts = wanted.get(file)?.split(mutant.from) ?? []
      if (parts.length !== 2) throw new Error(`${mutant.name}: its text is found ${parts.length - 1} times`)
      const chosen = `crate::mutants::is(${numberOf(mutant)})`
      wanted.set(file, parts.join(mutant.to.replaceAll('BROKEN', chosen)))
    }
    const library = join(crate, 'src', 'lib.rs')
    wanted.set(library, `${wanted.get(library)}${switches}`)
  }
  for (const file of globSync('{core,node}/**/*.rs', { cwd: copy }))
    if (!wanted.has(file)) rmSync(join(copy, file))
  for (const [file, text] of wanted) update(join(copy, file), text)
  writeFileSync(join(copy, 'Cargo.lock'), readFileSync(join(root, 'Cargo.lock')))
}

/**
 * What cargo has compiled of other crates for the workspace's own tests serves here as well: two minutes of processor time.
 * Fingerprints come first, since what one stands for was complete before it.
 */
function takeDependencies(): void {
  const from = join(root, 'target', 'debug')
  const to = join(copy, 'target', 'debug')
  if (!existsSync(from)) return
  for (const part of ['.fingerprint', 'build', 'deps']) {
    cpSync(join(from, part), join(to, part), {
      recursive: true,
      preserveTimestamps: true,
      force: false,
      filter: (file) =>
        !file.includes('asherah', from.length) &&
        (dirname(file) !== join(from, 'deps') || /^lib|\.d$/.test(basename(file))),
    })
  }
}

function update(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
