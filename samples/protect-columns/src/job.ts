import { writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { type Arguments, demoFolder } from './arguments.ts'
import { systemKeyId } from './factory.ts'
import { JobError } from './job-error.ts'
import { takeCensus } from './key-census.ts'
import { masterKeyFile, masterKeyHex } from './master-key.ts'
import { drawPicture } from './picture.ts'
import { type ChosenPlan, choosePlan } from './plan.ts'
import { Progress } from './progress.ts'
import { protect } from './protect.ts'
import { RowStore, type Run } from './row-store.ts'
import { openSource, type Source, surveySource } from './source.ts'
import { shortened, type Terminal, visible } from './terminal.ts'
import { whole } from './units.ts'
import { type Verification, verify } from './verify.ts'
import type { Work } from './work.ts'

/**
 * Seals the file's sensitive columns into the database, reads everything back, and draws what came of it.
 *
 * @throws JobError, AsherahError
 */
export async function fillDatabase(wanted: Arguments, terminal: Terminal, stop: AbortSignal): Promise<void> {
  const source = await openSource(wanted.file)
  const plan = choosePlan(source, await surveySource(source), wanted)
  using store = RowStore.open(wanted.database, true)
  if (resolve(dirname(wanted.database)) === resolve(demoFolder))
    writeFileSync(join(demoFolder, '.gitignore'), '*\n')
  const before = store.lastRun()
  const key = masterKeyHex(wanted.database, !store.holdsKeys())
  tellPlan(source, plan, wanted, before, terminal)
  const work = { source, store, masterKeyHex: key, stop }
  const protection = await protect({ ...work, progress: new Progress(terminal, 'sealing ') }, plan)
  const verification = await check(work, terminal)
  drawPicture(terminal, wanted.database, protection, verification, takeCensus(store, systemKeyId))
}

/**
 * Compares the database of an earlier run with its source.
 *
 * @throws JobError, AsherahError
 */
export async function checkDatabase(wanted: Arguments, terminal: Terminal, stop: AbortSignal): Promise<void> {
  using store = RowStore.open(wanted.database, false)
  const source = await openSource(wanted.fileFromDatabase ? shownPath(lastRun(store).source) : wanted.file)
  await check({ source, store, masterKeyHex: masterKeyHex(wanted.database, false), stop }, terminal)
}

async function check(work: Omit<Work, 'progress'>, terminal: Terminal): Promise<Verification> {
  const run = lastRun(work.store)
  const verification = await verify({ ...work, progress: new Progress(terminal, 'checking') }, run)
  const rows = `${whole(verification.rows)} rows`
  const extent = run.finished ? `all ${rows}` : `the first ${rows}, where the run was stopped,`
  terminal.line(terminal.green(`${extent} are what ${visible(work.source.path)} says, byte for byte`))
  return verification
}

function lastRun(store: RowStore): Run {
  const run = store.lastRun()
  if (run !== undefined) return run
  throw new JobError(
    'ERR_DATABASE',
    `${store.path} holds no rows of an earlier run. Make some first: npm start`,
  )
}

function tellPlan(
  source: Source,
  plan: ChosenPlan,
  wanted: Arguments,
  before: Run | undefined,
  terminal: Terminal,
): void {
  const tell = (name: string, text: string): void => terminal.line(`${name.padEnd(10)}${visible(text)}`)
  const sealed = plan.sealedColumns.join(', ')
  const hint = (chosen: unknown, option: string): string =>
    chosen === undefined ? ` (chosen for you; ${option} changes it)` : ''
  tell('file', `${source.path}, ${source.format}, ${whole(source.bytes)} bytes`)
  tell('owner', `"${plan.ownerColumn}"${hint(wanted.ownerColumn, '--partition-column NAME')}`)
  tell('sealed', `${shortened(sealed, 240)}${hint(wanted.columns, '--columns A,B,C')}`)
  tell('plain', shortened(plan.plainColumns.join(', '), 240) || 'nothing but the owner')
  tell('database', wanted.database)
  tell('key', `${masterKeyFile(wanted.database)}, readable by you alone; without it nothing can be opened`)
  if (before !== undefined) tell('replaces', `${whole(before.rows)} rows of the run before; its keys stay`)
  terminal.line()
}

/** As short as it can be named from here. */
function shownPath(path: string): string {
  const near = relative('.', path)
  return near.startsWith('..') ? resolve(path) : near
}
