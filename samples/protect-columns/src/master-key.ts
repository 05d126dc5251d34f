import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { JobError } from './job-error.ts'

/** Where the master key of a database lies. A real service keeps it in a KMS; a file beside the data is for a demonstration. */
export function masterKeyFile(database: string): string {
  return `${database}.master-key`
}

/**
 * The master key as 64 hexadecimal digits. `mayCreate` is for a database that holds no keys yet: 32 random bytes are
 * then written to a file that this user alone can read.
 *
 * @throws JobError `ERR_MASTER_KEY`
 */
export function masterKeyHex(database: string, mayCreate: boolean): string {
  const file = masterKeyFile(database)
  if (!existsSync(file)) {
    if (!mayCreate) {
      throw new JobError(
        'ERR_MASTER_KEY',
        `${file} is missing, and nothing else opens ${database}. Restore it, or begin anew with --database OTHER`,
      )
    }
    writeFileSync(file, `${randomBytes(32).toString('hex')}\n`, { mode: 0o600, flag: 'wx', flush: true })
  }
  if ((statSync(file).mode & 0o077) !== 0 && process.platform !== 'win32') {
    throw new JobError('ERR_MASTER_KEY', `${file} can be read by other users. Type: chmod 600 ${file}`)
  }
  const text = readFileSync(file, 'utf8').trim()
  if (!/^[0-9a-f]{64}$/i.test(text)) {
    throw new JobError(
      'ERR_MASTER_KEY',
      `${file} does not hold 64 hexadecimal digits. Restore it from a backup`,
    )
  }
  return text
}
