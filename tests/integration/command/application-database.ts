import { DatabaseSync } from 'node:sqlite'
import { createConnection } from 'mysql2/promise'
import pg from 'pg'

/** The database of an application that keeps records in it, as the application reaches it. */
export interface ApplicationDatabase {
  /** Runs a statement with `?` in the place of values; answers with the rows' values as text. */
  run(text: string, values?: readonly (string | number)[]): Promise<readonly (readonly string[])[]>
  close(): Promise<void>
}

export type ApplicationDialect = 'postgres' | 'mysql' | 'sqlite'

export async function openApplicationDatabase(
  dialect: ApplicationDialect,
  url: string,
): Promise<ApplicationDatabase> {
  switch (dialect) {
    case 'postgres': {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      return {
        run: async (text, values = []) => {
          let count = 0
          const numbered = text.replaceAll('?', () => `$${++count}`)
          const { rows } = await client.query<unknown[]>({
            text: numbered,
            values: [...values],
            rowMode: 'array',
          })
          return rows.map((row) => row.map(String))
        },
        close: () => client.end(),
      }
    }
    case 'mysql': {
      const connection = await createConnection({ uri: url, rowsAsArray: true })
      return {
        run: async (text, values = []) => {
          const [rows] = await connection.query(text, [...values])
          return Array.isArray(rows) ? rows.map((row) => (row as unknown[]).map(String)) : []
        },
        close: () => connection.end(),
      }
    }
    case 'sqlite': {
      const database = new DatabaseSync(url)
      database.exec('PRAGMA busy_timeout = 10000')
      return {
        run: async (text, values = []) => {
          const rows = database.prepare(text).all(...values)
          return rows.map((row) => Object.values(row).map(String))
        },
        close: async () => database.close(),
      }
    }
  }
}
