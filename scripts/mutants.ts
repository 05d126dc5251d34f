// Breaks one promise of the library after the other, in a copy, and expects the tests that hold it to notice: TypeScript
// here, Rust in `native-mutants.ts` and `addon-mutants.ts`.
// `node scripts/mutants.ts` tries all; words after it choose those whose names contain one of them.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { addonMutants } from '../packages/asherah/test/native/addon-mutants.ts'
import { nativeMutants } from '../packages/asherah/test/native/mutants.ts'
import { type Mutant, mutants, type Reference } from '../packages/asherah/test/semantics/mutants.ts'
import { tryAddonMutants } from './addon-mutants.ts'
import { root } from './command.ts'
import { prepareCopy } from './native-copy.ts'
import { tryNativeMutants } from './native-mutants.ts'
import { failure, type Step, type StepResult } from './steps.ts'

/** Longer than all tests of one mutant together take on a busy machine. */
const limitMs = 120_000

/** What the tests made of one copy. */
interface Verdict {
  readonly passed: ReadonlySet<string>
  /** The first test that failed. */
  readonly failed: string | undefined
  /** Set when the tests could not even be loaded. */
  readonly broken: string | undefined
}

export function mutantTests(words: readonly string[] = []): Step {
  return { name: 'mutants', action: () => tryMutants(words) }
}

async function tryMutants(words: readonly string[]): Promise<StepResult> {
  const isChosen = ({ name }: { readonly name: string }): boolean =>
    words.length === 0 || words.some((word) => name.includes(word))
  const chosen = mutants.filter(isChosen)
  const native = nativeMutants.filter(isChosen)
  const addon = addonMutants.filter(isChosen)
  if (native.length + addon.length > 0) prepareCopy()
  const results = [
    ...(chosen.length > 0 ? [await tryLibraryMutants(chosen)] : []),
    ...(native.length > 0 ? [await tryNativeMutants(native)] : []),
    ...(addon.length > 0 ? [await tryAddonMutants(addon)] : []),
  ]
  if (results.length === 0) return failure('no mutant has such a name')
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    failed: results.reduce((sum, { failed }) => sum + failed, 0),
    skipped: [],
    output: results.map(({ output }) => output).join('\n'),
  }
}

async function tryLibraryMutants(chosen: readonly Mutant[]): Promise<StepResult> {
  const unmutated = await inCopy(undefined, references(chosen))
  const fault = unmutated.broken ?? unmutated.failed
  if (fault !== undefined) return failure(`fails without a mutation: ${fault}`)
  const unknown = references(chosen).filter(([, test]) => !unmutated.passed.has(test))
  if (unknown.length > 0) return failure(`there is no test ${unknown.map(String).join('\n')}`)

  const lines: string[] = []
  let survivors = 0
  const waiting = chosen.values()
  const tryInTurn = async (): Promise<void> => {
    for (const mutant of waiting) {
      const line = await tryOne(mutant)
      if (line.survived) survivors += 1
      lines.push(line.text)
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, tryInTurn))
  return {
    passed: chosen.length - survivors,
    failed: survivors,
    skipped: [],
    output: lines.toSorted().join('\n'),
  }
}

function references(of: readonly Mutant[]): Reference[] {
  return of.flatMap(({ tests }) => tests)
}

/** Each of the tests that are named must fail, not only one of them. */
async function tryOne(mutant: Mutant): Promise<{ survived: boolean; text: string }> {
  const noticed: string[] = []
  for (const reference of mutant.tests) {
    const { failed, broken } = await inCopy(mutant, [reference])
    if (broken !== undefined) return { survived: true, text: `✖ ${mutant.name}: ${broken}` }
    if (failed === undefined)
      return { survived: true, text: `✖ ${mutant.name}: survives ${reference.join(': ')}` }
    noticed.push(failed)
  }
  return { survived: false, text: `✔ ${mutant.name} → ${noticed.join(' · ')}` }
}

async function inCopy(mutant: Mutant | undefined, tests: readonly Reference[]): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-mutant-'))
  try {
    const library = join(folder, 'packages', 'asherah')
    const original = join(root, 'packages', 'asherah')
    mkdirSync(library, { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
    symlinkSync(join(original, 'native'), join(library, 'native'))
    for (const part of ['package.json', 'src', 'test'])
      cpSync(join(original, part), join(library, part), { recursive: true })
    const fault = mutant === undefined ? undefined : mutate(join(library, 'src', mutant.file), mutant)
    if (fault !== undefined) return { passed: new Set(), failed: undefined, broken: fault }
    return await runTests(join(library, 'test'), tests)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What is wrong with the mutation, if anything is. */
function mutate(file: string, { from, to }: Mutant): string | undefined {
  const text = readFileSync(file, 'utf8')
  const parts = text.split(from)
  if (parts.length !== 2) return `its text is found ${parts.length - 1} times: ${from}`
  writeFileSync(file, parts.join(to))
  return undefined
}

async function runTests(folder: string, tests: readonly Reference[]): Promise<Verdict> {
  const files = [...new Set(tests.map(([file]) => join(folder, file)))]
  const passed = new Set<string>()
  let failed: string | undefined
  let broken: string | undefined
  const events = run({
    files,
    concurrency: 1,
    timeout: limitMs,
    testNamePatterns: tests.map(([, name]) => new RegExp(`${escaped(name)}$`)),
  })
  events.on('test:pass', ({ name }) => passed.add(name))
  events.on('test:fail', ({ name, details }) => {
    if (details.type === 'suite') return
    if (files.includes(name) || files.some((file) => name.endsWith(file))) broken = `${name} could not be run`
    else failed ??= name
  })
  for await (const _ of events) {
    // Read to its end: only then have all tests ended.
  }
  return { passed, failed, broken }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

if (import.meta.main) {
  const result = await tryMutants(process.argv.slice(2)).catch(failure)
  console.log(result.output)
  console.log(`${result.passed} mutants were noticed, ${result.failed} were not`)
  process.exitCode = result.failed === 0 && result.passed > 0 ? 0 : 1
}
