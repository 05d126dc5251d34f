// Measures the library against its own Rust core, in one run: `npm run bench -- --help` tells how. Nothing here fails because
// of a number: what misses its bar is marked, and the exit code is 0 unless something broke.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { root } from '../scripts/command.ts'
import { measureHook, measureMemory, measureStalls, measureStarts, measureWorkers } from './children.ts'
import { measureColdDynamoDb } from './cold-dynamodb.ts'
import { measureColdPostgres } from './cold-postgres.ts'
import { CoreLoop } from './core-loop.ts'
import { Figures } from './figure.ts'
import { GroupProcess } from './group-process.ts'
import { describeMachine, load } from './machine.ts'
import { PeerLoop } from './peer-loop.ts'
import { type Group, help, type Plan, readPlan } from './plan.ts'
import { makeReport, summary, table } from './report.ts'
import { measureSidecar } from './sidecar.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  let plan: Plan
  try {
    plan = readPlan(args)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    console.error(`${error.message}\n\n${help}`)
    return 2
  }
  if (plan.help) console.log(help)
  else await measure(plan)
  return 0
}

async function measure(plan: Plan): Promise<void> {
  const figures = new Figures()
  const started = new Date().toISOString()
  const machine = await describeMachine()
  const loadBefore = load()
  await measureCalls(plan, figures)
  await measureColdStores(plan, figures)
  if (plan.groups.has('large')) {
    progress('stalls of the event loop')
    await measureStalls(plan, figures)
  }
  if (plan.groups.has('sidecar')) {
    progress('the sidecar')
    await measureSidecar(plan, figures)
  }
  if (plan.groups.has('workers')) {
    progress('worker threads')
    await measureWorkers(plan, figures)
  }
  if (plan.groups.has('hook')) {
    progress('metrics hook')
    await measureHook(plan, figures)
  }
  if (plan.groups.has('start')) {
    progress('process starts')
    measureStarts(plan, figures)
  }
  if (plan.groups.has('memory')) {
    progress('memory')
    await measureMemory(plan, figures)
  }
  progress('')
  const report = makeReport({ started, quick: plan.quick, machine, loadBefore, loadAfter: load() }, figures)
  console.log(table(report))
  const stamp = started.slice(0, 19).replaceAll(':', '-')
  const file =
    plan.json === undefined ? join(root, 'build', 'benchmarks', `${stamp}.json`) : resolve(plan.json)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, undefined, 2)}\n`)
  console.log(`\n${summary(report)}\n${relative(process.cwd(), file)}`)
}

/** What is compared with the core's loop or with one session: round after round, each with a round of those. */
async function measureCalls(plan: Plan, figures: Figures): Promise<void> {
  const names = timedGroups(plan.groups)
  if (names.length === 0) return
  progress('building the Rust core’s own loop')
  const core = await CoreLoop.build()
  const groups: GroupProcess[] = []
  const peer = plan.groups.has('peer') ? await PeerLoop.start(plan.roundMs) : undefined
  try {
    for (const name of names) {
      progress(`preparing ${name}`)
      const group = await GroupProcess.start(name, plan.roundMs)
      groups.push(group)
      // A round that does not count: the compiler has seen everything then.
      await group.round()
    }
    for (let round = 1; round <= plan.rounds; round++) {
      progress(`round ${round} of ${plan.rounds}`)
      await core.round(figures)
      await peer?.round(figures)
      for (const group of groups)
        for (const [measurand, ns] of await group.round()) figures.add(measurand, ns)
    }
  } finally {
    for (const group of groups) group.close()
    peer?.close()
  }
}

/** Stores that are not installed are told, and left out. */
async function measureColdStores(plan: Plan, figures: Figures): Promise<void> {
  const stores = { postgres: measureColdPostgres, dynamodb: measureColdDynamoDb } as const
  for (const [group, measureStore] of Object.entries(stores)) {
    if (!plan.groups.has(group as keyof typeof stores)) continue
    progress(`cold partitions: ${group}`)
    const reason = await measureStore(plan, figures)
    progress('')
    if (reason !== undefined) console.log(`${group} is left out: ${reason}`)
  }
}

/** With whatever is compared with one session goes that session. */
function timedGroups(wanted: ReadonlySet<Group>): readonly string[] {
  const has = (...names: Group[]): boolean => names.some((name) => wanted.has(name))
  return [
    ...(has('session', 'async', 'module', 'partitions', 'peer') ? ['session'] : []),
    ...(has('async', 'peer') ? ['async'] : []),
    ...(has('module', 'peer') ? ['module'] : []),
    ...(has('partitions', 'peer') ? ['partitions 2,048'] : []),
    ...(has('partitions') ? ['partitions 100,000'] : []),
    ...(has('many') ? ['many'] : []),
    ...(has('large') ? ['large'] : []),
    ...(has('cold') ? ['cold'] : []),
  ]
}

/** One line at the bottom of the terminal; nothing where there is none. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}
