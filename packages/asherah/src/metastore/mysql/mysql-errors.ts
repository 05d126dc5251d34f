import { AsherahError } from '../../errors.ts'
import { createTable } from '../create-table.ts'
import { faultOf, sqlError } from '../sql/sql-fault.ts'
import type { SqlDialectErrors } from '../sql/sql-runner.ts'

export const duplicateEntry = 1062

const noTable =
  'there is no table encryption_key in the database. Make it, on MySQL 8.0.17 or newer with\n' +
  `${createTable('mysql')};\non MariaDB with\n${createTable('mariadb')};\nand grant SELECT and INSERT on it`
const notAllowed = 'the account may not. Grant it SELECT and INSERT on the table encryption_key'
const noWrites = 'the server takes no writes: it is a replica, or has been made one. Connect to the primary'
const badTime =
  'its time is not one that the column created can hold. A TIMESTAMP ends at 2038-01-19 03:14:07 in UTC, and has not the ' +
  "hour that the server's time zone leaves out in spring: give it the type DATETIME, or the server the time zone UTC"
const badText =
  "the character set of the table encryption_key has not all of the id's characters. Convert it to utf8mb4"

const serverFull =
  'the server, or the account, has no connection left. Try again; set poolMaxOpen, or raise its max_connections'

/** The server's error numbers to what they mean here. */
const meanings: ReadonlyMap<number, string> = new Map([
  [1040, serverFull],
  [1044, 'the account may not use the database'],
  [1045, 'the server does not let the account in. Check user and password'],
  [1046, 'the connection string names no database'],
  [1049, 'there is no such database on the server'],
  [1054, 'the table encryption_key has not the columns id, created and key_record'],
  [1142, notAllowed],
  [1143, notAllowed],
  [1146, noTable],
  [1193, 'the server is no Aurora MySQL that knows replicaReadConsistency. Leave it out'],
  [1203, serverFull],
  [1227, notAllowed],
  [1231, 'the server does not know this replicaReadConsistency'],
  [1264, badTime],
  [1290, noWrites],
  [1292, badTime],
  [1366, badText],
  [1406, 'the id or the record is longer than its column. Make id VARCHAR(255) and key_record TEXT'],
  [1792, noWrites],
  [1836, noWrites],
  [4025, 'a constraint of the table encryption_key refuses it'],
])

const cannotEncode: ReadonlySet<number> = new Set([1267, 1271, 3988])

/** Whether a query failed because the table's character set has not all characters of the id: no row can have it. */
export function isUnencodable(error: unknown): boolean {
  return cannotEncode.has(Number((error as { readonly errno?: unknown } | null)?.errno))
}

/** The server is ending (1053), has ended the connection (1927, 2006, 2013, 4031), or has become a replica. */
const connectionFaults: ReadonlySet<number> = new Set([1053, 1290, 1792, 1836, 1927, 2006, 2013, 4031])

export const mysqlErrors: SqlDialectErrors = {
  label: 'MySQL metastore',

  isConnectionFault(error) {
    const { errno, code } = (error ?? {}) as { readonly errno?: unknown; readonly code?: unknown }
    return connectionFaults.has(Number(errno)) || code === 'PROTOCOL_CONNECTION_LOST'
  },

  isServerFull(error) {
    const { errno, message } = faultOf(error)
    // 1226 is any limit of an account; its message has the limit's name in it, whatever the language.
    return errno === 1040 || errno === 1203 || (errno === 1226 && message.includes('max_user_connections'))
  },

  isUndone(error) {
    // InnoDB's locks of the gaps between rows can meet in a deadlock where several keys are stored at once.
    return faultOf(error).errno === 1213
  },

  typed(action, error) {
    if (error instanceof AsherahError) return error
    const { errno } = (error ?? {}) as { readonly errno?: unknown }
    return sqlError(this.label, action, meanings.get(Number(errno)) ?? otherMeaning(error), error)
  },
}

function otherMeaning(error: unknown): string {
  const { code, errno } = (error ?? {}) as { readonly code?: unknown; readonly errno?: unknown }
  if (code === 'HANDSHAKE_NO_SSL_SUPPORT') return 'the server does not speak TLS, which tls demands'
  if (code === 'HANDSHAKE_SSL_ERROR')
    return "the server's certificate is refused. Check the host name, and ssl-ca"
  return typeof errno === 'number' && errno > 0
    ? 'the server refuses, for the reason that follows'
    : 'the connection failed. Check that the server runs and can be reached'
}
