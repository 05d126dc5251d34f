import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'
import { createMariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { CommandFolder } from './command-process.ts'

const day = 86_400_000

/** A database that statements are run in as its owner; columns are answered as text. */
export interface Place {
  readonly url: string
  run(sql: string): Promise<readonly string[]>
  drop(): Promise<void> | void
}

const databases: Readonly<
  Record<'PostgreSQL' | 'MariaDB' | 'SQLite', (folder: CommandFolder) => Promise<Place>>
> = {
  PostgreSQL: async () => {
    const { postgres } = testServers()
    const database = await createPostgresDatabase(postgres)
    return {
      url: database.url({ account: postgres.superuser }),
      run: async (sql) => (await database.query(sql)).split('\n').filter((line) => line !== ''),
      drop: () => database.drop(),
    }
  },
  MariaDB: async () => {
    const { mariadb } = testServers()
    const database = await createMariaDbDatabase(mariadb)
    await database.query(`GRANT ALL ON ${database.name}.* TO ${mariadb.limited.user}@'%'`)
    return {
      url: database.url(),
      run: async (sql) => (await database.query(sql)).split('\n').filter((line) => line !== ''),
      drop: () => database.drop(),
    }
  },
  SQLite: async (folder) => {
    const path = join(folder.path, 'orders.db')
    const database = new DatabaseSync(path)
    database.exec('PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF')
    return {
      url: `sqlite://${path}`,
      run: async (sql) => {
        if (!sql.startsWith('SELECT')) {
          database.exec(sql)
          return []
        }
        return database
          .prepare(sql)
          .all()
          .map((row) => Object.values(row).join('\t'))
      },
      drop: () => database.close(),
    }
  },
}

/** A table of records, and what its keys are. */
export interface OrdersTable {
  readonly database: keyof typeof databases
  /** The columns of the key; `id` without. */
  readonly keyColumns?: readonly string[]
  /** The columns `id`, with the others of the key, and `card`, what is among the columns, and what is behind them. */
  readonly id: string
  readonly card: string
  readonly constraint?: string
  readonly rest?: string
  readonly prepare?: string
  /** The key of a row as SQL, with commas between its columns. */
  readonly key: (index: number) => string
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

const identity = {
  serviceName: 'api',
  productId: 'catalog',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
} as const
/** A folder with a configuration, and a database beside the keys whose connection string is in the file `url`. */
export async function openOrders(
  context: TestContext,
  { database }: OrdersTable,
): Promise<{ readonly folder: CommandFolder; readonly place: Place; readonly config: AsherahConfig }> {
  const folder = new CommandFolder()
  const place = await databases[database](folder)
  context.after(async () => {
    await place.drop()
    folder.remove()
  })
  const config: AsherahConfig = {
    ...identity,
    metastore: 'sqlite',
    connectionString: join(folder.path, 'keys.db'),
  }
  folder.write('asherah.json', config)
  writeFileSync(join(folder.path, 'url'), place.url, { mode: 0o600 })
  return { folder, place, config }
}

/** Makes the table, with records that were sealed a hundred days ago. */
export async function seedOrders(
  config: AsherahConfig,
  { run }: Place,
  one: OrdersTable,
  count: number,
): Promise<void> {
  const { id, card, constraint, rest = '', prepare, key, keyColumns = ['id'], database } = one
  const now = Date.now() - 100 * day
  const factory = new SessionFactory({
    ...config,
    clock: { now: () => now, monotonic: () => performance.now() },
  })
  const session = factory.getSession('all')
  const asBytes = (text: string): string =>
    database === 'PostgreSQL'
      ? `'\\x${Buffer.from(text).toString('hex')}'`
      : `x'${Buffer.from(text).toString('hex')}'`
  const values = Array.from({ length: count }, (_, index) => {
    const record = session.encryptString(`text ${index}`)
    return `(${key(index)}, ${/^(?:BYTEA|BLOB)/.test(card) ? asBytes(record) : quoted(record)}, ${index})`
  })
  await factory.closeAsync()
  if (prepare !== undefined) await run(prepare)
  const columns = [
    `id ${id}`,
    `card ${card}`,
    'number INT',
    ...(constraint === undefined ? [] : [constraint]),
  ]
  await run(`CREATE TABLE orders (${columns.join()}) ${rest}`)
  const batch = 100
  for (let first = 0; first < count; first += batch) {
    const part = values.slice(first, first + batch).join()
    await run(`INSERT INTO orders (${keyColumns.join()}, card, number) VALUES ${part}`)
  }
}

/** What selects each record, and after it the number of its row. */
export function readBack({ card, database }: OrdersTable): string {
  if (card === 'BYTEA') return "SELECT convert_from(card, 'UTF8'), number FROM orders"
  if (card === 'BLOB' && database === 'SQLite') return 'SELECT CAST(card AS TEXT), number FROM orders'
  return 'SELECT card, number FROM orders'
}
