import { systemKeyId } from './factory.ts'
import type { Census, Generation } from './key-census.ts'
import type { Latency } from './latency.ts'
import { masterKeyFile } from './master-key.ts'
import { expiryDays, spanDays } from './moving-clock.ts'
import type { Protection } from './protect.ts'
import { shortened, type Terminal } from './terminal.ts'
import { bytes, day, duration, whole } from './units.ts'
import type { Example, Verification } from './verify.ts'

/** Draws what a run has done. */
export function drawPicture(
  terminal: Terminal,
  database: string,
  protection: Protection,
  verification: Verification,
  census: Census,
): void {
  drawKeys(terminal, database, protection, census)
  drawCalls(terminal, protection, verification)
  drawSizes(terminal, protection, census)
  if (verification.example !== undefined) drawExample(terminal, verification.example)
  drawNext(terminal, database)
}

function drawKeys(terminal: Terminal, database: string, { clockMs, rows }: Protection, census: Census): void {
  const { generations, owners } = census
  title(terminal, 'Keys', `the clock was moved by ${spanDays} days; keys expire after ${expiryDays}`)
  terminal.line(`  master key          ${masterKeyFile(database)}`)
  terminal.line(`  └─ system keys      ${whole(generations.length)} generations of ${systemKeyId}`)
  const most = Math.max(1, ...generations.map(({ records }) => records))
  for (const [at, generation] of generations.entries()) {
    const last = at === generations.length - 1
    terminal.line(`     ${last ? '└─' : '├─'} ${generationLine(terminal, generation, clockMs, most)}`)
  }
  terminal.line(
    `  records             ${whole(rows)} of ${whole(owners)} owners, each owner under intermediate keys of its own`,
  )
}

function generationLine(terminal: Terminal, generation: Generation, clockMs: number, most: number): string {
  const days = Math.floor((clockMs / 1000 - generation.created) / 86_400)
  const state = days < expiryDays ? terminal.green('in use ') : terminal.dim('expired')
  const keys = `${whole(generation.intermediateKeys)} intermediate keys`.padStart(23)
  const bar = '■'.repeat(Math.round((generation.records / most) * 16)).padEnd(16)
  const age = `${whole(days)} days old`.padStart(14)
  return `${day(generation.created)} ${age}  ${state} ${keys}  ${bar} ${whole(generation.records)} records`
}

function drawCalls(terminal: Terminal, protection: Protection, verification: Verification): void {
  title(terminal, 'Calls', 'the library alone, in one thread; the slowest ones loaded or made a key')
  const columns = ['', 'calls', 'per second', 'p50', 'p90', 'p99', 'max']
  const cells = (name: string, latency: Latency): readonly string[] => [
    name,
    whole(latency.calls),
    whole(latency.perSecond),
    ...[50, 90, 99].map((percentile) => duration(latency.percentileNs(percentile))),
    duration(latency.maxNs),
  ]
  for (const row of [columns, cells('encrypt', protection.latency), cells('decrypt', verification.latency)]) {
    terminal.line(`  ${row.map((cell, at) => (at === 0 ? cell.padEnd(8) : cell.padStart(11))).join('')}`)
  }
}

function drawSizes(terminal: Terminal, { stats, ...protection }: Protection, census: Census): void {
  const { rows, sensitiveBytes, sealedBytes } = protection
  const rate = rows / (protection.milliseconds / 1000)
  title(terminal, 'Sizes')
  terminal.line(`  whole way in        ${whole(rate)} rows a second, with parsing and SQLite`)
  const unlocked =
    stats.unlockedBytes === 0 ? '' : `, ${bytes(stats.unlockedBytes)} not: raise the lock limit`
  const lookUps = `keys in it: ${whole(stats.hits)} hits, ${whole(stats.misses)} misses`
  terminal.line(`  memory              ${bytes(stats.lockedBytes)} locked${unlocked}; ${lookUps}`)
  terminal.line(`  metastore           ${whole(census.keyRows)} wrapped keys, ${bytes(census.keyBytes)}`)
  const times = (sealedBytes / sensitiveBytes).toFixed(1)
  terminal.line(
    `  sealed columns      ${bytes(sensitiveBytes)} became ${bytes(sealedBytes)} (${times} times), ` +
      `${whole((sealedBytes - sensitiveBytes) / rows)} B more a row`,
  )
}

function drawExample(terminal: Terminal, example: Example): void {
  const room = terminal.width - 22
  title(terminal, 'One row', `owner ${shortened(example.source.owner, 40)}`)
  terminal.line(`  source              ${shortened(example.source.sensitive, room)}`)
  terminal.line(`  stored              ${shortened(example.stored.sealed, room)}`)
  terminal.line(`  opened              ${shortened(example.opened, room)}`)
}

function drawNext(terminal: Terminal, database: string): void {
  title(terminal, 'Next')
  terminal.line(`  npm start -- --verify-only --database ${database}`)
  terminal.line('  npm start -- your.csv --partition-column customer --columns name,email')
  terminal.line(`  sqlite3 ${database} 'SELECT * FROM protected_row LIMIT 3'`)
  terminal.line('  npm run bench')
}

function title(terminal: Terminal, name: string, remark = ''): void {
  terminal.line()
  terminal.line(`${terminal.bold(name)}  ${terminal.dim(remark)}`.trimEnd())
}
