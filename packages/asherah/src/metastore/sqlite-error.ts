import { AsherahError } from '../errors.ts'

export type SqliteFault =
  | 'busy'
  | 'readOnly'
  | 'io'
  | 'corrupt'
  | 'full'
  | 'cannotOpen'
  | 'permission'
  | 'notADatabase'
  | 'other'

// https://sqlite.org/rescode.html, the primary codes.
const faults: readonly (readonly [number, string, SqliteFault])[] = [
  [3, 'SQLITE_PERM', 'permission'],
  [5, 'SQLITE_BUSY', 'busy'],
  [6, 'SQLITE_LOCKED', 'busy'],
  [8, 'SQLITE_READONLY', 'readOnly'],
  [10, 'SQLITE_IOERR', 'io'],
  [11, 'SQLITE_CORRUPT', 'corrupt'],
  [13, 'SQLITE_FULL', 'full'],
  [14, 'SQLITE_CANTOPEN', 'cannotOpen'],
  [23, 'SQLITE_AUTH', 'permission'],
  [26, 'SQLITE_NOTADB', 'notADatabase'],
]

const meanings: Record<SqliteFault, string> = {
  busy:
    'another connection held its lock for longer than the busy timeout. Try again; if it stays so, raise the busy ' +
    'timeout or find the process that keeps a transaction open',
  readOnly: 'it cannot be written. Give this user write access to the file and to its directory',
  io: 'the file system reported an error. Check the disk, its free space and the file size limit (ulimit -f)',
  corrupt:
    'it is damaged. Restore it from a backup: what was encrypted under its keys cannot be read without them',
  full: 'the disk is full. Free some space; nothing was stored',
  cannotOpen:
    'it cannot be opened. Check that it is a file and that this user may read and write it and its directory',
  permission: 'access was denied. Check the rights of the file and of its directory',
  notADatabase: 'it is not an SQLite database. Give the path of another file, or move this one away',
  other: 'SQLite reported an error, which is the cause of this one',
}

/** What an error of `node:sqlite` (`errcode`, possibly extended) or of `better-sqlite3` (`code`, a name) stands for. */
export function sqliteFault(error: unknown): SqliteFault {
  if (typeof error !== 'object' || error === null) return 'other'
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  for (const [number, name, fault] of faults) {
    if (typeof errcode === 'number' && (errcode & 0xff) === number) return fault
    if (code === name || (typeof code === 'string' && code.startsWith(`${name}_`))) return fault
  }
  return 'other'
}

/** The typed error for what SQLite or the file system threw while the store was being opened, read, written or closed. */
export function sqliteError(action: string, label: string, cause: unknown): AsherahError {
  if (cause instanceof AsherahError) return cause
  const systemCode = cause instanceof Error ? (cause as NodeJS.ErrnoException).code : undefined
  const meaning = systemMeanings.get(systemCode ?? '') ?? meanings[sqliteFault(cause)]
  const said = cause instanceof Error ? ` (${cause.message})` : ''
  return new AsherahError('ERR_METASTORE', `The ${label} could not be ${action}: ${meaning}${said}.`, {
    cause,
  })
}

const systemMeanings: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'its directory does not exist. Create it'],
  ['ENOTDIR', 'a part of its path is not a directory. Give another path'],
  ['EACCES', meanings.permission],
  ['EPERM', meanings.permission],
  ['EROFS', 'the file system is read-only. Give a path on one that can be written'],
  ['ENOSPC', meanings.full],
  ['EDQUOT', 'the quota of this user is used up. Free some space'],
])
