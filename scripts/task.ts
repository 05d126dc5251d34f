// Runs one of the tasks that package.json names, on the development Node, after `run.mjs` has set everything up.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { libraryBuild, nativeBuild, packageBuild } from './build.ts'
import { root, runInForeground } from './command.ts'
import { integrationTests, testPackages } from './integration.ts'
import { format, rustLint, scriptLint } from './lint.ts'
import { mutantTests } from './mutants.ts'
import { smokeTest } from './smoke.ts'
import { commandStep, type Step, StepRunner } from './steps.ts'
import { cargoTests, nodeTests, slowSuites } from './unit.ts'

type Task = (args: readonly string[]) => Promise<number>

const tasks: Readonly<Record<string, Task>> = {
  start: (args) => program('samples/protect-columns/main.ts', args),
  bench: (args) => program('benchmarks/main.ts', args),
  build: () => chain(nativeBuild, libraryBuild, packageBuild),
  format: () => lanes(format),
  lint: () => lanes([libraryBuild, ...scriptLint], rustLint),
  test: (args) => fullTest(args),
  'test:lint': () => lanes([libraryBuild, ...scriptLint], rustLint),
  'test:unit': async (args) => {
    const steps = new StepRunner()
    await unitTests(steps, args)
    return steps.finish()
  },
  'test:fast': async (args) => {
    const steps = new StepRunner()
    await lintAndUnitTests(steps, args, slowSuites)
    return steps.finish()
  },
  'test:integration': (args) => chain(nativeBuild, testPackages, integrationTests(args)),
  'test:mutants': (args) => chain(nativeBuild, mutantTests(args)),
  'test:instructions': (args) => program('benchmarks/instructions.ts', args),
  soak: (args) => program('scripts/soak.ts', args),
  'test:smoke': () => chain(nativeBuild, libraryBuild, packageBuild, smokeTest),
}

const instructions = commandStep('instructions of the data plane', process.execPath, [
  join(root, 'benchmarks', 'instructions.ts'),
])
/** It measures memory: nothing else runs beside it. */
const shortSoak = commandStep(
  'soak, 60 seconds',
  process.execPath,
  [join(root, 'scripts', 'soak.ts'), '--seconds', '60'],
  { timeoutMs: 10 * 60_000 },
)

const [name = '', ...args] = process.argv.slice(2)
const task = tasks[name]
if (task === undefined) {
  console.error(`there is no task ${JSON.stringify(name)}; there are ${Object.keys(tasks).join(', ')}`)
  process.exitCode = 1
} else {
  process.exitCode = await task(args)
}

async function lanes(...steps: readonly (readonly Step[])[]): Promise<number> {
  const runner = new StepRunner()
  await runner.runLanes(...steps)
  return runner.finish()
}

async function chain(...steps: readonly Step[]): Promise<number> {
  const runner = new StepRunner()
  await runner.runChain(steps)
  return runner.finish()
}

async function fullTest(patterns: readonly string[]): Promise<number> {
  const steps = new StepRunner()
  await lintAndUnitTests(steps, patterns)
  await steps.runChain([packageBuild, smokeTest])
  await steps.runChain([testPackages, integrationTests([])])
  for (const step of [mutantTests(), instructions, shortSoak]) await steps.run(step)
  return steps.finish()
}

/** The two compilers work side by side; node:test then has the machine for itself, since some tests measure time. */
async function lintAndUnitTests(
  steps: StepRunner,
  patterns: readonly string[],
  without: readonly string[] = [],
): Promise<void> {
  await steps.runLanes([nativeBuild, libraryBuild, ...scriptLint], [...rustLint, cargoTests])
  await steps.run(nodeTests(patterns, without))
}

async function unitTests(steps: StepRunner, patterns: readonly string[]): Promise<void> {
  await steps.runLanes([nativeBuild, libraryBuild], patterns.length > 0 ? [] : [cargoTests])
  await steps.run(nodeTests(patterns))
}

/** Builds quietly, then hands the terminal over to a program of this repository. */
async function program(file: string, args: readonly string[]): Promise<number> {
  if (!existsSync(join(root, file))) {
    console.error(`${file} does not exist`)
    return 1
  }
  if (!(await new StepRunner().runChain([nativeBuild, libraryBuild]))) return 1
  return runInForeground(process.execPath, [join(root, file), ...args])
}
