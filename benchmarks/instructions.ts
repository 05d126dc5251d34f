// Counts the instructions of the data plane's operations under valgrind, and compares them with a committed baseline:
//
//   node benchmarks/instructions.ts             exit code 1 when an operation takes more than the tolerance allows
//   node benchmarks/instructions.ts --update    writes the baseline anew
//
// Instructions, unlike seconds, are the same on a busy machine. valgrind offers programs the same processor wherever the real
// one has AVX2 (without AVX-512, whose code is not counted here). Which code there is depends on the compiler: with another
// than the baseline's the tolerance is wider, and on another kind of processor nothing is judged.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../scripts/command.ts'
import { buildExample } from './core-loop.ts'

const file = join(import.meta.dirname, 'instructions.json')

const operations = [
  'encrypt 64',
  'decrypt 64',
  'encrypt 1024',
  'decrypt 1024',
  'encrypt 8192',
  'decrypt 8192',
  'look-up',
  'make-key',
]

/** Runs differ by so many per cent, because a generator refills now and then. */
const tolerance = 2
/** Between compilers; a new library of the compiler moves single operations by that much. */
const toleranceOfCompilers = 10

interface Baseline {
  readonly compiler: string
  readonly processor: string
  /** Instructions of one operation. */
  readonly operations: Readonly<Record<string, number>>
}

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  if (args.some((argument) => argument !== '--update')) {
    console.error('node benchmarks/instructions.ts [--update]')
    return 2
  }
  const measured = await measure()
  if (args.includes('--update')) {
    writeFileSync(file, `${JSON.stringify(measured, undefined, 2)}\n`)
    console.log(`written: ${file}`)
    return 0
  }
  return judge(measured, JSON.parse(readFileSync(file, 'utf8')) as Baseline)
}

function judge(measured: Baseline, baseline: Baseline): number {
  const isComparable = measured.processor === baseline.processor
  const sameCompiler = measured.compiler === baseline.compiler
  const most = sameCompiler ? tolerance : toleranceOfCompilers
  if (!isComparable)
    console.log(`nothing is judged: this is ${measured.processor}, the baseline's ${baseline.processor}`)
  else if (!sameCompiler)
    console.log(
      `this is ${measured.compiler}, the baseline's ${baseline.compiler}: up to ${most} % is let pass`,
    )
  const failed: string[] = []
  for (const [name, instructions] of Object.entries(measured.operations)) {
    const before = baseline.operations[name]
    const change = before === undefined ? undefined : (instructions / before - 1) * 100
    const sign = change !== undefined && change >= 0 ? '+' : ''
    const shown = change === undefined ? 'new' : `${sign}${change.toFixed(2)} %`
    console.log(`${name.padEnd(14)} ${instructions.toLocaleString('en').padStart(10)}  ${shown}`)
    if (isComparable && (change === undefined || change > most)) failed.push(name)
    if (isComparable && change !== undefined && change < -most)
      console.log(`${name} became cheaper: write that down with --update`)
  }
  if (failed.length === 0) return 0
  console.error(`more instructions than the baseline by over ${most} %: ${failed.join(', ')}.
If that is meant, write it down: node benchmarks/instructions.ts --update`)
  return 1
}

async function measure(): Promise<Baseline> {
  const program = await buildExample('instruction_loop')
  const counts: Record<string, number> = {}
  for (const operation of operations) {
    // What start-up takes is in both.
    const [few, many] = [await count(program, operation, 100), await count(program, operation, 1100)]
    counts[operation] = Math.round((many - few) / 1000)
  }
  return {
    compiler: (await output('rustc', ['--version'])).trim(),
    processor: (await output('valgrind', ['--tool=none', '-q', program, 'features'])).trim(),
    operations: counts,
  }
}

async function count(program: string, operation: string, times: number): Promise<number> {
  const options = ['--tool=callgrind', '--callgrind-out-file=/dev/null']
  const text = await output('valgrind', [...options, program, operation, String(times)])
  const [, collected] = /Collected : (\d+)/.exec(text) ?? []
  if (collected === undefined) throw new Error(`valgrind told no count: ${text}`)
  return Number(collected)
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { code, output } = await run(command, args, { timeoutMs: 60_000 })
  if (code !== 0) throw new Error(`${command} failed: ${output}`)
  return output
}
