// Runs the library for a long time over a store that fails again and again, and tells whether memory grows or records are
// lost: `node scripts/soak.ts --help`.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { AsherahConfig } from '../packages/asherah/src/index.ts'
import type { LoadReport, LoadTask, SubjectReport, SubjectTask } from '../tests/soak/load.ts'
import { compareThirds, type MemorySample, type MemoryVerdict } from '../tests/soak/memory.ts'
import { postgresStore, type SoakStore, sqliteStore } from '../tests/soak/stores.ts'
import { residentBytes } from '../tests/support/processes.ts'
import { readJournals } from '../tests/support/racing-process.ts'
import { SeededRandom } from '../tests/support/seeded-random.ts'
import { root } from './command.ts'

const usage = `usage: node scripts/soak.ts [options]

  --seconds N     how long to measure, once it is warm (half a minute to two); 600 by default, 20 at least
  --metastore M   postgres (through a fault proxy, the default) or sqlite
  --workers N     worker threads, each with a factory of its own; 2 by default
  --seed N        repeats the choices of the run that printed it
  --json FILE     writes the summary there
`

/** All of them together come by in turn; some are used all the time, by every thread. */
const partitions = 20_000
const hotPartitions = 64
/** Keys that a factory keeps: fewer than it has partitions, so that the ring is full and keys leave it all the time. */
const ringSize = 4_096
/** More memory than in the first third that the last may have, in percent. */
const mostGrowthPercent = 5
/**
 * It is warm so long after every partition was touched and every ring was full: from then on the load is the mixed one,
 * and heaps and allocators have to find their size for that.
 */
const settlingSeconds = 20
/** It must be warm by then, slow as the machine may be. */
const longestWarmUpSeconds = 300

/** What is known at the end; `--json` writes it. */
interface Summary {
  readonly passed: boolean
  readonly problems: readonly string[]
  readonly seed: number
  readonly seconds: number
  readonly metastore: string
  readonly workers: number
  readonly partitionsTouched: number
  readonly encrypted: number
  readonly decrypted: number
  readonly systemKeys: number
  /** Calls that failed, by code. */
  readonly errors: Readonly<Record<string, number>>
  /** How often, by kind. */
  readonly faults: Readonly<Record<string, number>>
  readonly warmUpSeconds: number | undefined
  readonly memory: MemoryVerdict | undefined
  readonly sampledRecords: number
  readonly lostRecords: number
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    metastore: { type: 'string', default: 'postgres' },
    workers: { type: 'string', default: '2' },
    seed: { type: 'string' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const workers = Number(values.workers)
const stores: Readonly<Record<string, (folder: string) => Promise<SoakStore>>> = {
  postgres: postgresStore,
  sqlite: sqliteStore,
}
const open = stores[values.metastore]
if (values.help) {
  process.stdout.write(usage)
} else if (!(seconds >= 20) || !Number.isInteger(workers) || workers < 1 || open === undefined) {
  process.stderr.write(usage)
  process.exitCode = 2
} else {
  const random =
    values.seed === undefined ? SeededRandom.fromEnvironment() : new SeededRandom(Number(values.seed))
  const summary = await soak(open, random)
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(summary, null, 2)}\n`)
  process.stdout.write(closing(summary))
  process.exitCode = summary.passed ? 0 : 1
}

async function soak(
  openStore: (folder: string) => Promise<SoakStore>,
  random: SeededRandom,
): Promise<Summary> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-soak-'))
  const store = await openStore(folder)
  try {
    return await soakStore(store, folder, random)
  } finally {
    await store.remove()
    rmSync(folder, { recursive: true })
  }
}

async function soakStore(store: SoakStore, folder: string, random: SeededRandom): Promise<Summary> {
  // The default time limits, with which the records are read in the end, when nothing fails any more.
  const patient: AsherahConfig = {
    serviceName: 'soak',
    productId: 'asherah',
    kms: 'static',
    staticMasterKeyHex: '5c'.repeat(32),
    ...store.config,
    // The system's own clock, and the shortest life that there is: every key is replaced each second in which it is used.
    expireAfter: 1,
    createdPrecision: 1,
    checkInterval: 1,
    ringSize,
  }
  const config: AsherahConfig = { ...patient, connectTimeout: 700, queryTimeout: 900, callTimeout: 2_000 }
  const loads = Array.from({ length: workers }, (_, index): LoadTask => {
    const name = `worker-${index}`
    const share = (at: number): number => Math.floor((partitions * at) / workers)
    return {
      name,
      config,
      seed: random.fork(name).seed,
      hot: Array.from({ length: hotPartitions }, (_unused, at) => `hot-${at}`),
      swept: Array.from(
        { length: share(index + 1) - share(index) },
        (_unused, at) => `tenant-${share(index) + at}`,
      ),
      journal: join(folder, `${name}.jsonl`),
    }
  })
  const subject = fork(join(root, 'tests', 'soak', 'subject-program.ts'), [], {
    execArgv: ['--expose-gc'],
    // What calls were told is counted; the warnings of outages would come between the lines.
    env: { ...process.env, NODE_NO_WARNINGS: '1' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const { pid } = subject
  if (pid === undefined) throw new Error('the soaked process did not start')
  const exited = once(subject, 'exit') as Promise<[number | null, string | null]>
  let reports: readonly LoadReport[] = []
  const samples: MemorySample[] = []
  const faults: Record<string, number> = {}
  let warmAt: number | undefined
  let ending = false
  const began = performance.now()
  const elapsed = (): number => (performance.now() - began) / 1000
  subject.on('message', (report: SubjectReport) => {
    reports = report.loads
    if (ending) return
    const reading = { seconds: elapsed(), mebibytes: residentBytes(pid) / 2 ** 20 }
    const warm = reports.length === workers && reports.every(isWarm)
    if (warm) warmAt ??= reading.seconds + settlingSeconds
    if (reading.seconds > (warmAt ?? longestWarmUpSeconds) + seconds) {
      ending = true
      subject.send('end')
    }
    if (warmAt !== undefined && reading.seconds >= warmAt) samples.push(reading)
    if (Math.floor(reading.seconds) % 5 === 0)
      process.stdout.write(progress(reading, reports, warmAt, faults))
  })
  const task: SubjectTask = { loads }
  subject.send(task)
  const making = makeFaults(store, random.fork('faults'), faults, () => ending)
  const [code, signal] = await exited
  const lasted = elapsed()
  const problems: string[] = []
  if (code !== 0 || !ending) problems.push(`the soaked process ended with ${code ?? signal}`)
  ending = true
  await making
  const { records, lost } = await readJournals(
    patient,
    loads.map(({ journal }) => journal),
  )
  const memory = compareThirds(samples)
  const total = (count: (report: LoadReport) => number): number =>
    reports.reduce((sum, report) => sum + count(report), 0)
  problems.push(
    ...reports.flatMap(({ failures }) => failures),
    ...lost.map((one) => `lost: ${one.slice(0, 200)}`),
  )
  if (memory === undefined) problems.push('it did not get warm')
  else if (memory.growthPercent > mostGrowthPercent) problems.push('memory grew')
  if (records === 0 || records < total(({ sampled }) => sampled))
    problems.push('sampled records are not there')
  const systemKeys = await store.systemKeys()
  // During a fault none is made.
  if (systemKeys < lasted / 2) problems.push(`only ${systemKeys} generations of the system key`)
  return {
    passed: problems.length === 0,
    problems: problems.slice(0, 20),
    seed: random.seed,
    seconds: lasted,
    metastore: values.metastore,
    workers,
    partitionsTouched: total(({ touched }) => touched),
    encrypted: total(({ encrypted }) => encrypted),
    decrypted: total(({ decrypted }) => decrypted),
    systemKeys,
    errors: addUp(reports.map(({ errors }) => errors)),
    faults,
    warmUpSeconds: warmAt,
    memory,
    sampledRecords: records,
    lostRecords: lost.length,
  }

  function isWarm({ touched, ringFull }: LoadReport, index: number): boolean {
    return ringFull && touched === loads[index]?.swept.length
  }
}

async function makeFaults(
  { fault }: SoakStore,
  random: SeededRandom,
  counts: Record<string, number>,
  ending: () => boolean,
): Promise<void> {
  while (fault !== undefined && !ending()) {
    await sleep(random.between(1_000, 4_000))
    if (ending()) return
    const kind = await fault(random)
    counts[kind] = (counts[kind] ?? 0) + 1
  }
}

function addUp(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {}
  for (const one of all)
    for (const [name, count] of Object.entries(one)) sums[name] = (sums[name] ?? 0) + count
  return sums
}

function progress(
  { seconds: at, mebibytes }: MemorySample,
  reports: readonly LoadReport[],
  warmAt: number | undefined,
  faults: Readonly<Record<string, number>>,
): string {
  const sum = (count: (report: LoadReport) => number): string =>
    reports.reduce((total, report) => total + count(report), 0).toLocaleString('en')
  const errors = list(addUp(reports.map((report) => report.errors)))
  const phase = warmAt === undefined || at < warmAt ? 'warming up' : 'measuring'
  const made = Object.values(faults).reduce((total, count) => total + count, 0)
  return (
    `${at.toFixed(0).padStart(4)} s  ${phase}  ${mebibytes.toFixed(0)} MiB  ${sum(({ touched }) => touched)} partitions  ` +
    `${sum(({ encrypted }) => encrypted)} encrypted  ${sum(({ decrypted }) => decrypted)} decrypted  ` +
    `${made} faults  ${errors === '' ? 'no errors' : errors}\n`
  )
}

function closing(summary: Summary): string {
  const { memory, problems } = summary
  const grew =
    memory === undefined
      ? 'unknown'
      : `${memory.firstThirdMiB.toFixed(1)} MiB, then ${memory.lastThirdMiB.toFixed(1)} MiB (${memory.growthPercent.toFixed(2)} %)`
  return [
    `memory      ${grew}`,
    `records     ${summary.encrypted} encrypted, ${summary.decrypted} decrypted, ${summary.sampledRecords} sampled, ${summary.lostRecords} lost`,
    `keys        ${summary.systemKeys} generations of the system key over ${summary.partitionsTouched} partitions`,
    `faults      ${list(summary.faults) || 'none'}`,
    `errors      ${list(summary.errors) || 'none'}`,
    `seed        ${summary.seed}`,
    ...problems.map((problem) => `problem     ${problem}`),
    summary.passed ? 'passed' : 'failed',
    '',
  ].join('\n')
}

function list(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ')
}
