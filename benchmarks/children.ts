import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { hostNode, run } from '../scripts/command.ts'
import type { Figures, Measurand } from './figure.ts'
import type { Plan } from './plan.ts'

const folder = join(import.meta.dirname, 'children')

/** Starts processes, each beside one with an empty script, on the development Node and on the host's. */
export function measureStarts(plan: Plan, figures: Figures): void {
  const nodes = new Map([process.execPath, hostNode].map((node) => [versionOf(node), node]))
  for (let round = 0; round < plan.starts; round++) {
    for (const [version, node] of nodes) {
      const common = { group: 'start', unit: 'ms' } as const
      const empty = `Node ${version}, empty script`
      const comparison = { against: empty, by: 'difference', most: 25 } as const
      figures.add({ ...common, name: empty }, lifeMs(node, 'empty.mjs'))
      figures.add(
        { ...common, name: `Node ${version}, import to first record`, comparison },
        lifeMs(node, 'first-record.mjs'),
      )
      figures.add(
        { ...common, name: `Node ${version}, require to first record`, comparison },
        lifeMs(node, 'first-record.cjs'),
      )
    }
  }
}

function versionOf(node: string): string {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim().slice(1)
}

/** From the start of a process to its end. */
function lifeMs(node: string, script: string): number {
  const start = performance.now()
  const { status, stderr, error } = spawnSync(node, [join(folder, script)], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  const life = performance.now() - start
  if (status !== 0) throw new Error(`${script} failed on ${node}: ${error?.message ?? stderr}`)
  return life
}

/**
 * V8's young generation grows to some 64 MB while many partitions come, and that once, whatever their number. Held at its
 * smallest, what is left of a difference in resident memory is the partitions'.
 */
const smallYoungGeneration = '--max-semi-space-size=1'

interface MemoryVariant {
  readonly name: string
  readonly flags: readonly string[]
  /** What `children/partition-memory.ts` is told. */
  readonly variant: 'memory' | 'elsewhere' | 'held'
  readonly most?: number
}

const memoryVariants: readonly MemoryVariant[] = [
  { name: 'rows in the memory store', flags: [smallYoungGeneration], variant: 'memory', most: 1024 },
  { name: 'rows kept elsewhere', flags: [smallYoungGeneration], variant: 'elsewhere', most: 1024 },
  { name: 'memory store, sessions held', flags: [smallYoungGeneration], variant: 'held' },
  { name: 'memory store, young generation growing too', flags: [], variant: 'memory' },
]

/** Resident memory of processes with many partitions. */
export async function measureMemory(plan: Plan, figures: Figures): Promise<void> {
  const [from, to] = plan.quick ? [10_000, 40_000] : [20_000, 100_000]
  for (let round = 0; round < plan.memoryProcesses; round++) {
    for (const { name, flags, variant, most } of memoryVariants) {
      const output = await child(
        'partition-memory.ts',
        ['--expose-gc', ...flags],
        [variant, String(from), String(to)],
      )
      const comparison = most === undefined ? undefined : ({ by: 'value', most } as const)
      const measurand = { name: `a further partition, ${name}`, group: 'memory', unit: 'B' } as const
      const bytes = Number(output)
      if (!Number.isFinite(bytes)) throw new Error(`partition-memory.ts printed ${output}`)
      figures.add({ ...measurand, ...(comparison && { comparison }) }, bytes)
    }
  }
}

/** How long the event loop stands still while a large payload is handled asynchronously, beside a copy of that payload. */
export async function measureStalls(plan: Plan, figures: Figures): Promise<void> {
  const output = await child('large-stall.ts', [], [plan.quick ? '3' : '9'])
  const series = JSON.parse(output) as readonly {
    readonly name: string
    readonly copy: string | null
    readonly rounds: readonly number[]
  }[]
  for (const { name, copy, rounds } of series) {
    const comparison = copy === null ? undefined : ({ against: copy, by: 'difference', most: 5 } as const)
    for (const value of rounds)
      figures.add({ name, group: 'stall', unit: 'ms', ...(comparison && { comparison }) }, value)
  }
}

/** Two worker threads, each with a factory of its own, against one. */
export async function measureWorkers(plan: Plan, figures: Figures): Promise<void> {
  for (let round = 0; round < (plan.quick ? 2 : 7); round++) {
    for (const operation of ['encrypt', 'decrypt']) {
      const one = `one worker, ${operation} 64 B`
      const measured = async (count: number): Promise<number> =>
        Number(await child('workers.ts', [], [operation, String(count), plan.quick ? '200' : '500']))
      figures.add({ name: one, group: 'workers', unit: 'ns' }, await measured(1))
      const comparison = { against: one, by: 'ratio', most: 1 / 1.7 } as const
      const two: Measurand = {
        name: `two workers, ${operation} 64 B`,
        group: 'workers',
        unit: 'ns',
        comparison,
      }
      figures.add(two, await measured(2))
    }
  }
}

/** What a metrics hook costs that is not set, that was removed, and that is set. */
export async function measureHook(plan: Plan, figures: Figures): Promise<void> {
  const output = await child('hook-cost.ts', [], [plan.quick ? '15' : '101'])
  const series = JSON.parse(output) as readonly {
    readonly name: string
    readonly rounds: readonly number[]
  }[]
  const base = 'encrypt 64 B, '
  const comparisons: Readonly<Record<string, Measurand['comparison']>> = {
    'hook never set': { against: `${base}no hook in the library`, by: 'ratio', most: 1.02 },
    'hook set and removed': { against: `${base}no hook in the library, again`, by: 'ratio', most: 1.02 },
    'hook set': { against: `${base}hook never set`, by: 'ratio' },
  }
  for (const { name, rounds } of series) {
    const comparison = comparisons[name]
    const measurand: Measurand = {
      name: base + name,
      group: 'hook',
      unit: 'ns',
      ...(comparison && { comparison }),
    }
    for (const value of rounds) figures.add(measurand, value)
  }
}

/** What one of the child scripts prints. */
async function child(script: string, flags: readonly string[], args: readonly string[]): Promise<string> {
  const command = [...flags, '--disable-warning=ExperimentalWarning', join(folder, script), ...args]
  const { code, output } = await run(process.execPath, command, { timeoutMs: 120_000 })
  if (code !== 0) throw new Error(`${script} failed: ${output}`)
  return output
}
