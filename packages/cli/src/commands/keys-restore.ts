import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { EnvelopeKeyRecord } from 'asherah/admin'
import { type BackupEntry, BackupFile } from '../backup-file.ts'
import type { CommandSpec } from '../command.ts'
import { goesOn } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { withMetastore } from '../opened.ts'
import type { Output } from '../output.ts'
import { printable } from '../printable.ts'
import { shownTime } from '../times.ts'
import { dryRun } from './keys-revoke.ts'

/** Puts rows back as a backup has them: the way back from `keys rewrap`. What was revoked since stays revoked. */
export const keysRestoreCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: (command) => {
    command.argument('<backup>', 'the file that `keys rewrap` wrote')
  },
  run: (context, { args: [path = ''] }) =>
    withMetastore(context, async ({ admin }) => {
      // The first entry of a row is the oldest: what it was before anything was rewrapped.
      const entries = new Map<string, BackupEntry>()
      for await (const entry of entriesOf(path, context.output)) {
        const name = `${entry.created} ${entry.keyId}`
        if (!entries.has(name)) entries.set(name, entry)
      }
      const counts = { restored: 0, same: 0 }
      const backup = new BackupFile(`${path}.before-restore`, 'make its folder writable')
      try {
        for (const { keyId, created, record } of entries.values()) {
          await context.checkInterrupted(goesOn)
          const row = await admin.get(keyId, created)
          if (row === undefined) {
            const message = `the row of ${shownTime(created)} under ${JSON.stringify(keyId)} is not there any more`
            throw new CommandError('ERR_ABSENT', message)
          }
          const encryptedKey = new Uint8Array(Buffer.from(record.Key, 'base64'))
          if (Buffer.from(row.record.encryptedKey).equals(encryptedKey)) {
            counts.same += 1
            continue
          }
          const restored: EnvelopeKeyRecord = { ...row.record, encryptedKey }
          if (context.confirmed) {
            backup.add(row)
            const done = await context.act({ restore: keyId, created }, () => admin.replace(row, restored))
            if (!done)
              throw new CommandError('ERR_CONFLICT', 'a row was changed by others meanwhile', 'type it again')
          }
          counts.restored += 1
          const event = context.confirmed ? 'restored' : 'would restore'
          await context.output.tell(
            { keyId, created, event },
            () => `${event}  ${shownTime(created)}  ${printable(keyId)}`,
          )
        }
      } finally {
        backup.close()
      }
      await context.output.tell({ dryRun: !context.confirmed, ...counts }, () =>
        context.confirmed
          ? `${counts.restored} restored, ${counts.same} were as in the backup.`
          : dryRun(counts.restored, 'restore'),
      )
      return undefined
    }),
}

async function* entriesOf(path: string, output: Output): AsyncGenerator<BackupEntry, void, undefined> {
  let number = 0
  let found = false
  try {
    for await (const line of createInterface({
      input: createReadStream(path),
      crlfDelay: Number.POSITIVE_INFINITY,
    })) {
      number += 1
      if (line === '') continue
      const entry = parsed(line)
      if (entry === undefined) {
        // A crash cuts the line short of a row that it kept from being changed.
        output.note(`passed over: line ${number} of ${path} is none of a backup`)
        continue
      }
      found = true
      yield entry
    }
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException
    throw new CommandError('ERR_INPUT', `the backup ${path} cannot be read (${code})`, undefined, { cause })
  }
  if (!found) {
    const hint = '`asherah keys rewrap` says in the end what it wrote its backup to'
    throw new CommandError('ERR_INPUT', `${path} is no backup: it holds no row`, hint)
  }
}

function parsed(line: string): BackupEntry | undefined {
  let entry: Partial<BackupEntry> | null
  try {
    entry = JSON.parse(line)
  } catch {
    return undefined
  }
  const { keyId, created, record } = entry ?? {}
  const whole = typeof keyId === 'string' && Number.isSafeInteger(created) && typeof record?.Key === 'string'
  return whole ? (entry as BackupEntry) : undefined
}
