// Breaks one promise of the Rust core after the other, for `mutants.ts`.
import { availableParallelism } from 'node:os'
import type { NativeMutant, NativeReference, RustMutant } from '../packages/asherah/test/native/mutants.ts'
import { run } from './command.ts'
import { compileCopy, copy, environment } from './native-copy.ts'
import { failure, type StepResult } from './steps.ts'

/** The test programs by target. */
type Programs = ReadonlyMap<string, string>

/** What a test says of a mutant, or of the unchanged crate; undefined when it passes. */
export type Judge<Test> = (test: Test, mutant?: RustMutant<Test>) => Promise<string | undefined>

/** Tries these in a copy of the crate. */
export async function tryNativeMutants(chosen: readonly NativeMutant[]): Promise<StepResult> {
  const programs = await compile(chosen)
  return typeof programs === 'string'
    ? failure(programs)
    : judgeMutants(chosen, (test, mutant) => faultOf(programs, test, mutant))
}

/** Has each mutant's tests pass without it and fail with it. */
export async function judgeMutants<Test extends readonly [string, string]>(
  chosen: readonly RustMutant<Test>[],
  judge: Judge<Test>,
): Promise<StepResult> {
  const tests = new Map(chosen.flatMap((mutant) => mutant.tests).map((test) => [test.join(': '), test]))
  const faults = await inTurn([...tests], async ([name, test]) => {
    const fault = await judge(test)
    return fault === undefined ? [] : [`${name}: ${fault} without a mutation`]
  })
  if (faults.length > 0) return failure(faults.join('\n'))

  let survivors = 0
  const lines = await inTurn(chosen, async (mutant) => {
    for (const test of mutant.tests) {
      if ((await judge(test, mutant)) !== undefined) continue
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

async function faultOf(
  programs: Programs,
  [target, name]: NativeReference,
  mutant?: NativeMutant,
): Promise<string | undefined> {
  const program = programs.get(target)
  if (program === undefined) return 'there is no such target'
  const { code, output } = await run(program, ['--exact', name], {
    cwd: copy,
    env: environment(mutant),
    timeoutMs: 60_000,
  })
  // It may end the whole process; that is noticed too.
  if (!output.includes('running 1 test\n')) throw new Error(`there is no test ${target}: ${name}`)
  return code === 0 ? undefined : `it failed: ${output}`
}

/** The test programs that a mutant names, or what the compiler has against them. */
async function compile(chosen: readonly NativeMutant[]): Promise<Programs | string> {
  const targets = new Set(chosen.flatMap(({ tests }) => tests.map(([target]) => target)))
  const wanted = Array.from(targets, (target) => (target === 'lib' ? ['--lib'] : ['--test', target])).flat()
  const made = await compileCopy(['test', '--no-run', '--package', 'asherah-core', ...wanted])
  if (typeof made === 'string') return made
  const programs = new Map<string, string>()
  for (const { target, executable } of made)
    if (executable !== null) programs.set(target.kind.includes('lib') ? 'lib' : target.name, executable)
  return programs
}
