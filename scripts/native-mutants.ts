// Breaks one promise of the Rust core after the other, for `mutants.ts`. All are made in one copy, of which each run of a test
// chooses one: a copy for each would be compiled 25 times.
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { basename, dirname, join } from 'node:path'
import {
  type NativeMutant,
  type NativeReference,
  nativeMutants,
} from '../packages/asherah/test/native/mutants.ts'
import { root, run } from './command.ts'
import { failure, type StepResult } from './steps.ts'

const original = join(root, 'native', 'core')
const copy = join(root, 'build', 'mutants')
/** Says which mutant a run of a test is of; without it, of none. */
const variable = 'ASHERAH_MUTANT'

/** Of the copy alone; nothing of the kind is in what is shipped. */
const switches = `
mod mutants {
    pub(crate) fn is(number: u32) -> bool {
        static CHOSEN: std::sync::OnceLock<Option<u32>> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| std::env::var("${variable}").ok()?.parse().ok()) == Some(number)
    }
}
`

/** What cargo says of a compiled crate, as far as it is read here. */
interface Message {
  readonly reason: string
  readonly target?: { readonly name: string; readonly kind: readonly string[] }
  readonly executable?: string | null
}

/** The test programs by target. */
type Programs = ReadonlyMap<string, string>

/** Tries these in a copy of the crate. */
export async function tryNativeMutants(chosen: readonly NativeMutant[]): Promise<StepResult> {
  takeDependencies()
  makeCopy()
  const programs = await compile()
  if (typeof programs === 'string') return failure(programs)
  const unmutated = [...new Set(chosen.flatMap(({ tests }) => tests).map((test) => JSON.stringify(test)))]
  const faults = await inTurn(unmutated, async (text) => {
    const test = JSON.parse(text) as NativeReference
    const fault = await faultOf(programs, test)
    return fault === undefined ? [] : [`${test.join(': ')}: ${fault} without a mutation`]
  })
  if (faults.length > 0) return failure(faults.join('\n'))

  let survivors = 0
  const lines = await inTurn(chosen, async (mutant) => {
    for (const test of mutant.tests) {
      if ((await faultOf(programs, test, mutant)) !== undefined) continue
      survivors += 1
      return [`✖ ${mutant.name}: survives ${test.join(': ')}`]
    }
    return [`✔ ${mutant.name} → ${mutant.tests.map((test) => test.join(': ')).join(' · ')}`]
  })
  return {
    passed: chosen.length - survivors,
    failed: survivors,
    skipped: [],
    output: lines.toSorted().join('\n'),
  }
}

/** As many at once as there are processors. */
async function inTurn<T>(items: readonly T[], each: (item: T) => Promise<string[]>): Promise<string[]> {
  const lines: string[] = []
  const waiting = items.values()
  const lane = async (): Promise<void> => {
    for (const item of waiting) lines.push(...(await each(item)))
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
  return lines
}

/** What the test says of the mutant, or of the unchanged crate; undefined when it passes. */
async function faultOf(
  programs: Programs,
  [target, name]: NativeReference,
  mutant?: NativeMutant,
): Promise<string | undefined> {
  const program = programs.get(target)
  if (program === undefined) return 'there is no such target'
  const { code, output } = await run(program, ['--exact', name], {
    cwd: copy,
    env: mutant === undefined ? process.env : { ...process.env, [variable]: numberOf(mutant) },
    timeoutMs: 60_000,
  })
  // It may end the whole process; that is noticed too.
  if (!output.includes('running 1 test\n')) throw new Error(`there is no test ${target}: ${name}`)
  return code === 0 ? undefined : `it failed: ${output}`
}

function numberOf(mutant: NativeMutant): string {
  return String(nativeMutants.indexOf(mutant))
}

/** Writes only what differs, because cargo goes by the time of a change. */
function makeCopy(): void {
  const wanted = new Map<string, string>()
  const workspace = readFileSync(join(root, 'Cargo.toml'), 'utf8')
  wanted.set('Cargo.toml', workspace.replace(/^members = .*$/m, 'members = ["core"]'))
  for (const file of globSync('{src,tests}/**/*.rs', { cwd: original }))
    wanted.set(join('core', file), readFileSync(join(original, file), 'utf8'))
  wanted.set(join('core', 'Cargo.toml'), readFileSync(join(original, 'Cargo.toml'), 'utf8'))
  for (const mutant of nativeMutants) {
    const file = join('core', 'src', mutant.file)
    const parts = wanted.get(file)?.split(mutant.from) ?? []
    if (parts.length !== 2) throw new Error(`${mutant.name}: its text is found ${parts.length - 1} times`)
    wanted.set(file, parts.join(mutant.to.replaceAll('BROKEN', `crate::mutants::is(${numberOf(mutant)})`)))
  }
  const library = join('core', 'src', 'lib.rs')
  wanted.set(library, `${wanted.get(library)}${switches}`)
  for (const file of globSync('core/{src,tests}/**/*.rs', { cwd: copy }))
    if (!wanted.has(file)) rmSync(join(copy, file))
  for (const [file, text] of wanted) update(join(copy, file), text)
  // The same versions; cargo leaves out what only the addon needs.
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

/** The test programs that a mutant names, or what the compiler has against them. */
async function compile(): Promise<Programs | string> {
  const targets = new Set(nativeMutants.flatMap(({ tests }) => tests.map(([target]) => target)))
  const wanted = Array.from(targets, (target) => (target === 'lib' ? ['--lib'] : ['--test', target])).flat()
  const { code, output } = await run(
    'cargo',
    ['test', '--no-run', ...wanted, '--message-format', 'json-render-diagnostics'],
    { cwd: copy, env: { ...process.env, CARGO_TARGET_DIR: join(copy, 'target') } },
  )
  if (code !== 0) return output.replace(/^\{.*\}$\n?/gm, '')
  const programs = new Map<string, string>()
  for (const line of output.split('\n')) {
    if (!line.startsWith('{"reason":"compiler-artifact"')) continue
    const { target, executable } = JSON.parse(line) as Message
    if (target === undefined || typeof executable !== 'string') continue
    programs.set(target.kind.includes('lib') ? 'lib' : target.name, executable)
  }
  return programs
}
