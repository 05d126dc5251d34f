import { closeSync, constants, fsyncSync, openSync, writeSync } from 'node:fs'
import type { EnvelopeKeyRecord, KeyRow } from 'asherah/admin'
import { CommandError } from './command-error.ts'

/** A row as it was, as `keys restore` reads it; still wrapped, so it shows no key. */
export interface BackupEntry {
  /** When it was put aside. */
  readonly time: string
  readonly keyId: string
  readonly created: number
  /** As the row has it: contract section 2.3. */
  readonly record: {
    readonly Created: number
    readonly Key: string
    readonly ParentKeyMeta?: { readonly KeyId: string; readonly Created: number }
    readonly Revoked?: boolean
  }
}

/** An append-only file of rows as they were before they were changed; each is on the disk before its row is changed. */
export class BackupFile {
  readonly path: string
  #file: number | undefined

  constructor(path: string) {
    this.path = path
  }

  add({ keyId, created, record }: KeyRow): void {
    const entry: BackupEntry = { time: new Date().toISOString(), keyId, created, record: plain(record) }
    try {
      const { O_APPEND, O_CREAT, O_WRONLY, O_NOFOLLOW } = constants
      this.#file ??= openSync(this.path, O_APPEND | O_CREAT | O_WRONLY | O_NOFOLLOW, 0o600)
      writeSync(this.#file, `${JSON.stringify(entry)}\n`)
      fsyncSync(this.#file)
    } catch (cause) {
      const { code = 'unknown error' } = cause as NodeJS.ErrnoException
      const message = `the backup cannot be written, so nothing is changed: ${this.path} (${code})`
      throw new CommandError('ERR_ACTION_LOG', message, '--backup FILE names another one', { cause })
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file)
    this.#file = undefined
  }
}

function plain({ created, encryptedKey, parentKeyMeta, revoked }: EnvelopeKeyRecord): BackupEntry['record'] {
  return {
    ...(revoked === true && { Revoked: true }),
    Created: created,
    Key: Buffer.from(encryptedKey).toString('base64'),
    ...(parentKeyMeta !== undefined && {
      ParentKeyMeta: { KeyId: parentKeyMeta.keyId, Created: parentKeyMeta.created },
    }),
  }
}
