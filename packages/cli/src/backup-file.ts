import type { EnvelopeKeyRecord, KeyRow } from 'asherah/admin'
import { AppendOnlyFile } from './append-only-file.ts'

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
  readonly #file: AppendOnlyFile

  /** @param hint how to have another one. */
  constructor(path: string, hint: string) {
    this.path = path
    this.#file = new AppendOnlyFile(path, 'the backup, without which nothing is changed,', hint)
  }

  /** @throws CommandError `ERR_ACTION_LOG` */
  add({ keyId, created, record }: KeyRow): void {
    const entry: BackupEntry = { time: new Date().toISOString(), keyId, created, record: plain(record) }
    this.#file.add(entry)
  }

  close(): void {
    this.#file.close()
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
