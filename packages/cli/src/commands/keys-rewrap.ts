import { isDeepStrictEqual } from 'node:util'
import type { AsherahError } from 'asherah'
import {
  type Config,
  type KeyRow,
  type OpenSystemKey,
  type ResolvedConfig,
  SystemKeySealer,
} from 'asherah/admin'
import { BackupFile } from '../backup-file.ts'
import type { CommandSpec } from '../command.ts'
import { type CommandContext, goesOn } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { everyRow, selectedRows } from '../selection.ts'
import { shownTime } from '../times.ts'
import { dryRun } from './keys-revoke.ts'

/** Attempts at a row that others change at the same time: they revoke it. */
const mostAttempts = 5
/** Runs over the system keys until one finds nothing left: processes may make new ones meanwhile. */
const mostPasses = 5

/**
 * Seals system keys anew, with the KMS of another configuration. Which ones are done shows in themselves, so it can be
 * stopped at any time and goes on where it stopped. Intermediate keys and records stay as they are.
 */
export const keysRewrapCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: (command) => {
    command
      .requiredOption(
        '--to-config <file>',
        'configuration with the new KMS, complete, as it will be used afterwards',
      )
      .option(
        '--backup <file>',
        'where each row is put aside before it is changed',
        'asherah-rewrap-backup.jsonl',
      )
  },
  run: (context, { options }) =>
    withMetastore(context, async (opened) => {
      const target = String(options['toConfig'])
      const resolved = context.configurationOf(target)
      checkSamePlace(opened.config, resolved.config, target)
      const seals = await openBoth(context.configuration(), resolved)
      const backup = new BackupFile(String(options['backup']), '--backup FILE names another one')
      try {
        const rewrap = new Rewrap(context, opened, seals, backup)
        const counts = await rewrap.all()
        if (!context.confirmed) {
          await context.output.tell({ dryRun: true, ...counts }, () => dryRun(counts.rewrapped, 'rewrap'))
          return undefined
        }
        const proof = await rewrap.prove()
        await context.output.tell({ dryRun: false, ...counts, ...proof, backup: backup.path }, () =>
          [
            `${counts.rewrapped} rewrapped, ${counts.done} were done already.`,
            `The new configuration alone opens all ${proof.systemKeys} system keys, and with them all ` +
              `${proof.intermediateKeys} intermediate keys.`,
            `Now restart every process with it. Then type this command once more: a process with the old configuration ` +
              'may have made another system key. Keep the old master key until then.',
            ...(counts.rewrapped > 0 ? [`The rows as they were: ${backup.path}`] : []),
          ].join('\n'),
        )
        return undefined
      } finally {
        backup.close()
        await seals.from.close()
        await seals.to.close()
      }
    }),
}

interface Seals {
  readonly from: SystemKeySealer
  readonly to: SystemKeySealer
}

async function openBoth(old: ResolvedConfig, next: ResolvedConfig): Promise<Seals> {
  const from = await SystemKeySealer.open(old)
  try {
    return { from, to: await SystemKeySealer.open(next) }
  } catch (error) {
    await from.close()
    throw error
  }
}

class Rewrap {
  readonly #context: CommandContext
  readonly #opened: Opened
  readonly #seals: Seals
  readonly #backup: BackupFile

  constructor(context: CommandContext, opened: Opened, seals: Seals, backup: BackupFile) {
    this.#context = context
    this.#opened = opened
    this.#seals = seals
    this.#backup = backup
  }

  async all(): Promise<{ readonly rewrapped: number; readonly done: number }> {
    let rewrapped = 0
    let done = 0
    for (let pass = 0; pass < mostPasses; pass++) {
      const rows = await this.#systemKeys()
      if (rows.length === 0)
        throw new CommandError('ERR_ABSENT', 'there are no system keys', 'asherah keys list')
      const progress = this.#context.progress('rewrapping', rows.length)
      let changed = 0
      let untouched = 0
      try {
        for (const row of rows) {
          await this.#context.checkInterrupted(goesOn)
          if (await this.#one(row)) changed += 1
          else untouched += 1
          progress.advance()
        }
      } finally {
        progress.stop()
      }
      rewrapped += changed
      if (pass === 0) done = untouched
      if (changed === 0 || !this.#context.confirmed) break
    }
    return { rewrapped, done }
  }

  /** Reads everything with the new KMS alone. */
  async prove(): Promise<{ readonly systemKeys: number; readonly intermediateKeys: number }> {
    const { to } = this.#seals
    const { admin, ids } = this.#opened
    const keys = new Map<string, OpenSystemKey>()
    try {
      for (const row of await this.#systemKeys()) {
        await this.#context.checkInterrupted(goesOn)
        const why = await to.whyNotSealedEverywhere(row.record.encryptedKey)
        if (why !== undefined) throw notProven(`the system key of ${shownTime(row.created)}`, why)
        keys.set(nameOf(row), await to.unwrap(row.record.encryptedKey))
      }
      let intermediateKeys = 0
      for await (const { keyId, created, record } of everyRow(
        admin,
        { prefix: '_IK_' },
        this.#context.output,
      )) {
        await this.#context.checkInterrupted(goesOn)
        const parent = record.parentKeyMeta
        const key = parent === undefined ? undefined : keys.get(nameOf(parent))
        if (key === undefined || ids.identify(keyId) === undefined) continue
        if (!key.opens(record.encryptedKey)) {
          throw notProven(`the intermediate key ${JSON.stringify(keyId)} of ${shownTime(created)}`)
        }
        intermediateKeys += 1
      }
      return { systemKeys: keys.size, intermediateKeys }
    } finally {
      for (const key of keys.values()) key.release()
    }
  }

  async #systemKeys(): Promise<readonly KeyRow[]> {
    const { admin, ids } = this.#opened
    const selection = { what: { kind: 'system' }, before: undefined } as const
    const rows: KeyRow[] = []
    for await (const row of selectedRows(admin, ids, selection, this.#context.output)) rows.push(row)
    return rows
  }

  /** False when the row is as the new KMS would have made it. */
  async #one(first: KeyRow): Promise<boolean> {
    const { admin } = this.#opened
    const { to } = this.#seals
    let row: KeyRow | undefined = first
    for (let attempt = 0; row !== undefined && attempt < mostAttempts; attempt++) {
      if ((await to.whyNotSealedEverywhere(row.record.encryptedKey)) === undefined) return false
      const { keyId, created, record } = row
      const encryptedKey = await this.#sealed(row)
      if (!this.#context.confirmed) {
        await this.#tell(row, 'would rewrap')
        return true
      }
      const from = row
      this.#backup.add(from)
      const replaced = await this.#context.act({ rewrap: keyId, created, backup: this.#backup.path }, () =>
        admin.replace(from, { ...record, encryptedKey }),
      )
      if (replaced) {
        await this.#tell(row, 'rewrapped')
        return true
      }
      row = await admin.get(keyId, created)
    }
    throw new CommandError(
      'ERR_CONFLICT',
      `the system key of ${shownTime(first.created)} was changed or deleted by others while it was to be rewrapped`,
      'type the same command again',
    )
  }

  /** The key sealed by the new KMS, in each of its regions, and opened again. */
  async #sealed({ created, record }: KeyRow): Promise<Uint8Array> {
    const { to } = this.#seals
    const key = await this.#opener(record.encryptedKey)
    try {
      const encryptedKey = await to.wrap(key)
      const why = await to.whyNotSealedEverywhere(encryptedKey)
      if (why !== undefined)
        throw notProven(`the system key of ${shownTime(created)} as it was sealed anew`, why)
      const again = await to.unwrap(encryptedKey)
      const same = again.isSameAs(key)
      again.release()
      if (!same) throw notProven(`the system key of ${shownTime(created)}, which came back as another key,`)
      return encryptedKey
    } finally {
      key.release()
    }
  }

  /** The old KMS opens it; or the new one does, where it was sealed in some of the new regions only. */
  async #opener(encryptedKey: Uint8Array): Promise<OpenSystemKey> {
    try {
      return await this.#seals.from.unwrap(encryptedKey)
    } catch (error) {
      try {
        return await this.#seals.to.unwrap(encryptedKey)
      } catch {
        // That the old KMS does not open it is what has to be mended.
        throw error
      }
    }
  }

  async #tell({ keyId, created }: KeyRow, what: string): Promise<void> {
    await this.#context.output.tell(
      { keyId, created, event: what },
      () => `${what}  ${shownTime(created)}  ${printable(keyId)}`,
    )
  }
}

function nameOf({ keyId, created }: { readonly keyId: string; readonly created: number }): string {
  return `${created} ${keyId}`
}

/** Two configurations of one service, over one metastore. */
function checkSamePlace(old: Config, next: Config, path: string): void {
  const place = ({ serviceName, productId, regionSuffix, metastore }: Config) => {
    const { pool: _, replicaReadConsistency: __, ...where } = metastore as Record<string, unknown>
    return { serviceName, productId, regionSuffix, where }
  }
  if (isDeepStrictEqual(place(old), place(next))) return
  throw new CommandError(
    'ERR_USAGE',
    `${path} is of another service, product, region suffix or metastore: only the KMS may differ`,
    'copy the configuration, and change the keys of its KMS',
  )
}

function notProven(what: string, cause?: AsherahError): CommandError {
  const reason = cause === undefined ? '' : `: ${cause.message}`
  return new CommandError(
    'ERR_NOT_PROVEN',
    `the new configuration alone does not open ${what}${reason}`,
    undefined,
    {
      cause,
    },
  )
}
