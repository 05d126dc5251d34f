// Breaks one promise of the addon after the other, for `mutants.ts`: the library's tests are run with the copy's addon.
import { copyFileSync, cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { addonName } from '../packages/asherah/src/native/load.ts'
import type { AddonMutant, AddonReference } from '../packages/asherah/test/native/addon-mutants.ts'
import { root, run } from './command.ts'
import { compileCopy, copy, environment } from './native-copy.ts'
import { judgeMutants } from './native-mutants.ts'
import { failure, type StepResult } from './steps.ts'

const library = join(copy, 'packages', 'asherah')
const original = join(root, 'packages', 'asherah')

/** Tries these in a copy of the crate and of the library. */
export async function tryAddonMutants(chosen: readonly AddonMutant[]): Promise<StepResult> {
  const made = await compileCopy(['build', '--profile', 'test', '--package', 'asherah-node'])
  if (typeof made === 'string') return failure(made)
  const built = made.find(({ target }) => target.name === 'asherah_node')?.filenames[0]
  if (built === undefined) throw new Error('cargo named no library of asherah-node')
  placeLibrary(built)
  return judgeMutants(chosen, faultOf)
}

function placeLibrary(built: string): void {
  rmSync(library, { recursive: true, force: true })
  for (const part of ['package.json', 'src', 'test'])
    cpSync(join(original, part), join(library, part), { recursive: true })
  mkdirSync(join(library, 'native'))
  copyFileSync(built, join(library, 'native', addonName()))
}

async function faultOf([file, name]: AddonReference, mutant?: AddonMutant): Promise<string | undefined> {
  const pattern = `${name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}$`
  const args = ['--test-reporter=tap', '--test-name-pattern', pattern, join(library, 'test', 'native', file)]
  const { output } = await run(process.execPath, args, { env: environment(mutant), timeoutMs: 60_000 })
  // Whatever else may have failed, that test has to have judged.
  const verdict = output.split('\n').find((line) => line.endsWith(` - ${name}`))
  if (verdict === undefined) throw new Error(`${file}: ${name}: it was not run: ${output}`)
  return /^ *ok /.test(verdict) ? undefined : `it failed: ${output}`
}
