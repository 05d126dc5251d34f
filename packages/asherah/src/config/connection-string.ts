import { type DatabaseConnection, MalformedConnection } from './database-connection.ts'
import { isGoDsn, parseAddresslessDsn, parseGoDsn, parseMysqlUrl } from './mysql-connection.ts'
import { isKeywordForm, parseKeywordForm, parsePostgresUrl } from './postgres-connection.ts'

/** What a connection string names: a database server, or an SQLite file. */
export type ParsedConnection = DatabaseConnection | { readonly dialect: 'sqlite'; readonly path: string }

const forms =
  'mysql://user:password@host:port/database, user:password@tcp(host:port)/database, ' +
  'postgres://user:password@host:port/database, host=… dbname=…, sqlite://path'

/**
 * Takes a connection string apart (contract sections 5.3 and 5.4). Where its form does not tell, `dialect` does.
 *
 * The answer is either what it says, or why it cannot be used, as the rest of a sentence that starts with the name of the
 * key. No piece of the string is ever in that sentence.
 *
 * @example
 * ```ts
 * parseConnectionString('app:p@ss@tcp(db:3306)/keys')
 * // { dialect: 'mysql', host: 'db', port: 3306, user: 'app', password: 'p@ss', database: 'keys', tls: 'off', … }
 * ```
 */
export function parseConnectionString(
  text: string,
  dialect?: 'mysql' | 'postgres',
): ParsedConnection | { readonly problem: string } {
  try {
    const connection = parse(text, dialect)
    return holdsNul(connection) ? { problem: 'has a NUL character' } : connection
  } catch (error) {
    if (error instanceof MalformedConnection) return { problem: error.message }
    throw error
  }
}

function parse(text: string, dialect: 'mysql' | 'postgres' | undefined): ParsedConnection {
  const [, scheme = '', rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? []
  switch (scheme.toLowerCase()) {
    case 'mysql':
      return isGoDsn(rest) ? parseGoDsn(rest) : parseMysqlUrl(rest)
    case 'postgres':
    case 'postgresql':
      return parsePostgresUrl(rest)
    case 'sqlite':
      if (rest === '') throw new MalformedConnection('has no path after sqlite://')
      return { dialect: 'sqlite', path: rest }
  }
  // A DSN may look as if it had a scheme: `user://password@tcp(…)`.
  if (isGoDsn(text)) return parseGoDsn(text)
  if (dialect !== 'mysql' && isKeywordForm(text, dialect === 'postgres')) return parseKeywordForm(text)
  if (dialect === 'mysql') return parseAddresslessDsn(text) ?? parseMysqlUrl(text)
  if (dialect === 'postgres') return parsePostgresUrl(text)
  throw new MalformedConnection(`has none of the known forms: ${forms}`)
}

function holdsNul(connection: ParsedConnection): boolean {
  return Object.values(connection).some((value) => typeof value === 'string' && value.includes('\0'))
}
