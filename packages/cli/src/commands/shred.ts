import { setTimeout as pause } from 'node:timers/promises'
import { AsherahError, type AsherahSession, SessionFactory } from 'asherah'
import type { KeyRow } from 'asherah/admin'
import { boundOf } from '../bound.ts'
import type { CommandSpec } from '../command.ts'
import { type CommandContext, goesOn } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { formatDuration } from '../configuration/duration.ts'
import { type ExitCode, exitCode } from '../exit-code.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { everyRow, selectedRows } from '../selection.ts'
import { shownAge, shownTime } from '../times.ts'

const outOfReach = [
  'caches of other implementations: Rust, and the canonical libraries, decrypt with a key that they hold until they restart',
  'processes that cannot reach the metastore: they decrypt with keys that they hold',
  'replicas that lag, backups, snapshots and point-in-time recovery of the metastore: the wrapped keys are in them',
  'plaintext that was decrypted before',
]

/** Destroys a partition's intermediate keys, so that nothing sealed under them can ever be read. */
export const shredCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: (command) => {
    command
      .requiredOption('--partition <id>', 'whose keys')
      .option('--suffix <suffix...>', 'also those of these regions, beside the configured ones')
      .option(
        '--no-wait',
        'do not wait until running processes have dropped the keys: their part is then not proven',
      )
  },
  run: (context, { options }) => withMetastore(context, (opened) => shred(context, opened, options)),
}

async function shred(
  context: CommandContext,
  opened: Opened,
  options: Readonly<Record<string, unknown>>,
): Promise<ExitCode | undefined> {
  const partitionId = String(options['partition'])
  const suffixes = (options['suffix'] ?? []) as readonly string[]
  const { output, confirmed } = context
  const { config } = opened
  const rows = await keysOf(context, opened, partitionId, suffixes)
  await tellOthers(context, opened, partitionId, suffixes)
  if (rows.length === 0) {
    throw new CommandError(
      'ERR_ABSENT',
      `the partition ${JSON.stringify(partitionId)} has no keys`,
      'asherah keys list',
    )
  }
  for (const { keyId, created } of rows) {
    const event = confirmed ? 'destroys' : 'would destroy'
    await output.tell({ keyId, created, event }, () => {
      return `${event}  ${shownTime(created)}, ${shownAge(created)} old  ${printable(keyId)}`
    })
  }
  const { milliseconds } = boundOf(config)
  if (!confirmed) {
    const count = `${rows.length} ${rows.length === 1 ? 'key' : 'keys'}`
    await output.tell({ dryRun: true, keys: rows.length, outOfReach }, () =>
      [
        `This was a dry run: nothing was changed. With --yes it would destroy ${count}, wait ${formatDuration(milliseconds)} ` +
          '(twice checkInterval and one load) until every running process has dropped them, and prove it.',
        "What was sealed under them can then never be read again. Out of this command's reach are:",
        ...outOfReach.map((line) => `- ${line}`),
      ].join('\n'),
    )
    return undefined
  }
  const proof = new Proof(context, partitionId)
  try {
    const held = await proof.begin(rows)
    const destroyed = await destroy(context, opened, partitionId, suffixes)
    await proof.inNewProcesses(rows.filter(({ keyId }) => isReadable(opened, partitionId, keyId)))
    const waits = options['wait'] !== false
    if (waits) {
      await waitFor(context, milliseconds)
      await proof.inRunningProcesses()
    }
    const reborn = await keysOf(context, opened, partitionId, suffixes)
    await output.tell(
      {
        dryRun: false,
        destroyed,
        proven: { newProcesses: true, runningProcesses: waits && held > 0 },
        reborn: reborn.length,
        outOfReach,
      },
      () =>
        [
          `${destroyed} destroyed. A process that starts now cannot load them: decryption fails with ERR_KEY_NOT_FOUND.`,
          waits
            ? ranText(held, milliseconds)
            : `Running processes drop them by ${boundOf(config).seenBy}; this was not waited for, and is not proven.`,
          ...(reborn.length > 0
            ? [
                'The partition has a new key since: an application goes on writing to it. What it writes now can be read.',
              ]
            : []),
          'Out of reach, and for you to see to:',
          ...outOfReach.map((line) => `- ${line}`),
        ].join('\n'),
    )
    return exitCode.done
  } finally {
    await proof.end()
  }
}

function ranText(held: number, milliseconds: number): string {
  if (held === 0)
    return 'None of them could be loaded before, so that running processes drop them was not tried.'
  const time = formatDuration(milliseconds)
  return `A process that held ${held} of them ${time} ago, and ran all along, decrypts no more: ERR_KEY_NOT_FOUND.`
}

async function keysOf(
  { output }: CommandContext,
  { admin, ids }: Opened,
  partitionId: string,
  suffixes: readonly string[],
): Promise<readonly KeyRow[]> {
  const rows: KeyRow[] = []
  const selection = { what: { kind: 'partition', partitionId }, before: undefined } as const
  for await (const row of selectedRows(admin, ids, selection, output)) rows.push(row)
  for (const suffix of suffixes) {
    const keyId = `_IK_${partitionId}_${ids.parts.serviceName}_${ids.parts.productId}_${suffix}`
    if (ids.intermediateKeyIds(partitionId).includes(keyId)) continue
    for await (const row of everyRow(admin, { keyId }, output)) rows.push(row)
  }
  return rows
}

/** Keys that look like the partition's in another region: whether they are, an id alone does not say. */
async function tellOthers(
  { output }: CommandContext,
  { admin, ids }: Opened,
  partitionId: string,
  suffixes: readonly string[],
): Promise<void> {
  const { serviceName, productId } = ids.parts
  const others = new Set<string>()
  for await (const { keyId } of everyRow(
    admin,
    { prefix: `_IK_${partitionId}_${serviceName}_${productId}_` },
    output,
  )) {
    const found = ids.identify(keyId)
    if (found?.partitionId === partitionId && !found.configured && !suffixes.includes(found.suffix)) {
      others.add(found.suffix)
    }
  }
  for (const suffix of others) {
    output.note(
      `there are keys that look like this partition's in the region ${suffix}; with --suffix ${suffix} they go too`,
    )
  }
}

async function destroy(
  context: CommandContext,
  opened: Opened,
  partitionId: string,
  suffixes: readonly string[],
): Promise<number> {
  let destroyed = 0
  // Until none is left: a process may have made one in between.
  for (let rows = await keysOf(context, opened, partitionId, suffixes); rows.length > 0; ) {
    for (const { keyId, created } of rows) {
      await context.checkInterrupted(goesOn)
      if (await context.act({ destroy: keyId, created }, () => opened.admin.remove(keyId, created)))
        destroyed += 1
    }
    rows = await keysOf(context, opened, partitionId, suffixes)
  }
  return destroyed
}

/** Whether sessions of this configuration would load the key at all: without a suffix they read none that has one. */
function isReadable({ ids }: Opened, partitionId: string, keyId: string): boolean {
  return ids.parts.regionSuffix !== '' || keyId === ids.intermediateKeyId(partitionId)
}

async function waitFor(context: CommandContext, milliseconds: number): Promise<void> {
  const stepMs = Math.max(100, Math.ceil(milliseconds / 200))
  const end = performance.now() + milliseconds
  const progress = context.progress('waiting for running processes', Math.ceil(milliseconds / stepMs))
  try {
    while (performance.now() < end && !context.signal.aborted) {
      await pause(Math.min(stepMs, Math.max(0, end - performance.now())))
      progress.advance()
    }
  } finally {
    progress.stop()
  }
  if (!context.signal.aborted) return
  throw new CommandError(
    'ERR_INTERRUPTED',
    'the keys are destroyed; that running processes have dropped them was not waited for, and is not proven',
  )
}

/**
 * Shows that decryption fails, by trying it: in a factory that held the keys all along, as a running process does, and in
 * one that is new, as a process that starts afterwards. Nothing is encrypted for it, since that could make a new key.
 */
class Proof {
  readonly #context: CommandContext
  readonly #partitionId: string
  readonly #factory: SessionFactory
  readonly #session: AsherahSession
  readonly #held: KeyRow[] = []

  constructor(context: CommandContext, partitionId: string) {
    this.#context = context
    this.#partitionId = partitionId
    this.#factory = new SessionFactory(context.configuration())
    this.#session = this.#factory.getSession(partitionId)
  }

  /** Loads every key that this configuration can, and answers with how many those are. */
  async begin(rows: readonly KeyRow[]): Promise<number> {
    for (const row of rows) {
      // The key was there, and in memory now, when all that is wrong is what it should have opened.
      if ((await outcomeOf(this.#session, row)) === 'ERR_RECORD_KEY_AUTHENTICATION') this.#held.push(row)
    }
    return this.#held.length
  }

  /** No generation can be loaded by a process that has not loaded it. */
  async inNewProcesses(rows: readonly KeyRow[]): Promise<void> {
    const factory = new SessionFactory(this.#context.configuration())
    try {
      const session = factory.getSession(this.#partitionId)
      for (const row of rows) await mustBeGone(session, row)
    } finally {
      await factory.closeAsync()
    }
  }

  async inRunningProcesses(): Promise<void> {
    for (const row of this.#held) await mustBeGone(this.#session, row)
  }

  async end(): Promise<void> {
    await this.#factory.closeAsync()
  }
}

async function mustBeGone(session: AsherahSession, row: KeyRow): Promise<void> {
  const outcome = await outcomeOf(session, row)
  if (outcome === 'ERR_KEY_NOT_FOUND') return
  throw new CommandError(
    'ERR_NOT_PROVEN',
    `the keys were deleted, but decrypting with the one of ${shownTime(row.created)} was tried, and ended with ${outcome} ` +
      'in place of ERR_KEY_NOT_FOUND',
    'does another process restore the row? asherah keys list --partition ID',
  )
}

/** How decrypting a record that names the key ends. */
async function outcomeOf(session: AsherahSession, { keyId, created }: KeyRow): Promise<string> {
  try {
    await session.decryptStringAsync(recordNaming(keyId, created))
    return 'a plaintext'
  } catch (error) {
    if (error instanceof AsherahError) return error.code
    throw error
  }
}

/** A record that names a key, and that nothing opens: decrypting it shows whether the key is there. */
function recordNaming(keyId: string, created: number): string {
  const sealed = Buffer.alloc(60).toString('base64')
  const ParentKeyMeta = { KeyId: keyId, Created: created }
  return JSON.stringify({ Key: { Created: created, Key: sealed, ParentKeyMeta }, Data: sealed })
}
