import { AsherahError } from '../../errors.ts'
import { createTable } from '../create-table.ts'
import { faultOf, sqlError } from '../sql/sql-fault.ts'
import type { SqlDialectErrors } from '../sql/sql-runner.ts'

const serverFull =
  'the server, or the account, has no connection left. Try again; set poolMaxOpen, or raise its max_connections'

/** SQLSTATE (PostgreSQL's appendix A) to what it means here. */
const meanings: ReadonlyMap<string, string> = new Map([
  [
    '42P01',
    `there is no table encryption_key in the search path. Make it in the right database and schema:\n${createTable('postgres')};\nand grant SELECT and INSERT on it`,
  ],
  ['42501', 'the account may not. Grant it SELECT and INSERT on the table encryption_key'],
  ['42703', 'the table encryption_key has not the columns id, created and key_record'],
  [
    '42P10',
    'the table encryption_key lets two keys have the same id and time. Add PRIMARY KEY (id, created) to it',
  ],
  ['42804', 'a column of the table encryption_key has a type that is not supported'],
  [
    '42883',
    'the column created of the table encryption_key has a type that is not supported: use TIMESTAMPTZ',
  ],
  [
    '22001',
    'the id or the record is longer than its column. Make id VARCHAR(255) and key_record JSONB or TEXT',
  ],
  ['22008', 'its time is outside of what the column created can hold'],
  ['22P05', "the database's encoding has no such character as the id has. Use a database in UTF8"],
  ['25006', 'the server takes no writes: it is a replica, or has been made one. Connect to the primary'],
  ['28P01', 'the server refuses the password'],
  ['28000', 'the server does not let the account in. Check its pg_hba.conf, and sslmode'],
  ['3D000', 'there is no such database on the server'],
  ['53300', serverFull],
  ['53400', serverFull],
])

/** Whether a query failed because the database's encoding has not all characters of the id: no row can have it. */
export function isUnencodable(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === '22P05'
}

/** Whether a server answered that it has no TLS: the driver's words, which no code stands for. */
export function speaksNoTls(error: unknown): boolean {
  return faultOf(error).message.includes('does not support SSL')
}

/** Whether the server lets nobody in this way, whatever the password: without TLS, for one. */
export function isWayRefused(error: unknown): boolean {
  return faultOf(error).code === '28000'
}

export const postgresErrors: SqlDialectErrors = {
  label: 'Postgres metastore',

  isConnectionFault(error) {
    const { code } = (error ?? {}) as { readonly code?: unknown }
    if (typeof code !== 'string') return false
    // Class 08: the connection; 57P01 to 57P03: the server is ending or starting. After a fail-over the connections to the
    // old primary lead to a replica (25006), and a new one leads to where the name points now.
    return /^(?:08...|57P0[123]|25006)$/.test(code)
  },

  isServerFull(error) {
    return /^53[34]00$/.test(faultOf(error).code ?? '')
  },

  isUndone(error) {
    // serialization_failure and deadlock_detected.
    return /^40(?:001|P01)$/.test(faultOf(error).code ?? '')
  },

  typed(action, error) {
    if (error instanceof AsherahError) return error
    const { code } = (error ?? {}) as { readonly code?: unknown }
    const meaning = meanings.get(typeof code === 'string' ? code : '') ?? otherMeaning(error)
    return sqlError(this.label, action, meaning, error)
  },
}

function otherMeaning(error: unknown): string {
  const { code, message } = faultOf(error)
  if (speaksNoTls(error)) return 'the server does not speak TLS, which sslmode demands'
  if (message.includes('client password must be')) {
    return 'the server wants a password and the connection string has none'
  }
  if (typeof code === 'string' && /^(?:CERT_|DEPTH_|SELF_|UNABLE_|ERR_TLS_|ERR_SSL_)/.test(code)) {
    return "the server's certificate is refused. Check the host name, and sslrootcert"
  }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
    ? 'the server refuses, for the reason that follows'
    : 'the connection failed. Check that the server runs and can be reached'
}
