import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { run as runTests } from 'node:test'
import { spec } from 'node:test/reporters'
import { root, run } from './command.ts'
import type { Step, StepResult } from './steps.ts'

/** A single test may take this long; with no test ending for as long again, the files still open count as failed. */
const testLimitMs = 300_000

/** Whole programs, many processes and searches of whole processes, which `test:fast` leaves to `npm test`. */
export const slowSuites: readonly string[] = [
  ...['tests/memory/**', 'tests/end-to-end/**'],
  'packages/{cli,server}/test/**',
  'packages/asherah/test/engine/bridge-death.test.ts',
  'packages/asherah/test/metastore/sqlite-faults.test.ts',
  'packages/asherah/test/semantics/running-processes.test.ts',
]

/** Folders of tests that need servers, which `test:integration` starts. */
export const serverSuites: readonly string[] = ['tests/integration/**', 'packages/*/test/integration/**']

/** Files at once: one more than there are processors, since half of the files' time goes by waiting. */
const atOnce = availableParallelism() + 1

/** node:test over every package's tests and those that cross packages. */
export function nodeTests(patterns: readonly string[], without: readonly string[] = []): Step {
  return { name: 'node:test', action: () => runNodeTests(findTests(patterns, without), atOnce) }
}

/** cargo test over the Rust workspace, documentation examples included. */
export const cargoTests: Step = { name: 'cargo test', action: runCargoTests }

function findTests(patterns: readonly string[], without: readonly string[]): string[] {
  const wanted =
    patterns.length > 0 ? patterns : ['{packages,samples}/*/test/**/*.test.ts', 'tests/**/*.test.ts']
  return globSync([...wanted], {
    cwd: root,
    exclude: ['**/node_modules/**', ...serverSuites, ...without],
  }).toSorted()
}

/** node:test over these files, each in a process of its own that inherits this one's environment; `signal` ends them. */
export async function runNodeTests(
  files: readonly string[],
  concurrency: number,
  signal?: AbortSignal,
): Promise<StepResult> {
  if (files.length === 0) return { passed: 0, failed: 1, skipped: [], output: 'no test file was found' }
  // Each file is a process that would strip the types of all the sources again, which is half of what most files take.
  process.env['NODE_COMPILE_CACHE'] ??= join(root, 'build', 'compile-cache')
  // `timeout` does not end a file whose tests are over but whose event loop is kept alive: the signal does.
  const stalled = new AbortController()
  const watchdog = setTimeout(
    () => stalled.abort(new Error('no test ended for ten minutes')),
    2 * testLimitMs,
  )
  const events = runTests({
    cwd: root,
    files: [...files],
    concurrency,
    timeout: testLimitMs,
    signal: signal === undefined ? stalled.signal : AbortSignal.any([stalled.signal, signal]),
  })
  events.on('test:complete', () => watchdog.refresh())
  const counts = { passed: 0, failed: 0 }
  const skipped: string[] = []
  events.on('test:pass', (event) => {
    const reason = event.skip ?? event.todo
    if (reason === undefined || reason === false) return
    skipped.push(`${event.name}${typeof reason === 'string' && reason !== '' ? `: ${reason}` : ''}`)
  })
  events.on('test:summary', (event) => {
    if (event.file !== undefined) return
    const { tests, passed, skipped: leftOut, todo } = event.counts
    counts.passed = passed
    counts.failed = tests - passed - leftOut - todo
  })
  const output: string[] = []
  for await (const line of events.compose(spec())) output.push(String(line))
  clearTimeout(watchdog)
  return { ...counts, skipped, output: output.join('') }
}

async function runCargoTests(): Promise<StepResult> {
  const { code, output } = await run('cargo', ['test', '--workspace', '--locked', '--no-fail-fast'])
  const counts = { passed: 0, failed: 0 }
  for (const [, passed, failed] of output.matchAll(/^test result: .*? (\d+) passed; (\d+) failed;/gm)) {
    counts.passed += Number(passed)
    counts.failed += Number(failed)
  }
  // A test binary that did not compile or that died has no result line: its exit code still counts.
  if (code !== 0) counts.failed = Math.max(counts.failed, 1)
  const ignored = output.matchAll(/^test (.+) \.\.\. (ignored.*)$/gm)
  return { ...counts, skipped: Array.from(ignored, ([, name, reason]) => `${name}: ${reason}`), output }
}
