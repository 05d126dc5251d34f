import { PostgresServer } from '../../../../tests/support/servers/postgres.ts'
import { createPostgresDatabase } from '../../../../tests/support/servers/postgres-database.ts'
import { createTable } from '../../src/metastore/create-table.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { Pool } from './postgres-store.ts'
import type { SqlDialect, SqlServer, SqlServerOptions } from './sql-dialect.ts'

/** Slots that a server keeps for superusers beside those of everyone. */
const reservedSlots = 3

async function start({
  certificates,
  certificate = 'server',
  tls,
  maxConnections,
}: SqlServerOptions): Promise<SqlServer> {
  const server = await PostgresServer.start({
    certificates,
    certificate,
    settings: [
      ...(tls === false ? ['ssl=off'] : []),
      ...(maxConnections === undefined ? [] : [`max_connections=${maxConnections + reservedSlots}`]),
    ],
  })
  const { address } = server
  return {
    address,
    async createDatabase() {
      const database = await createPostgresDatabase(address, { keyRecord: 'none' })
      await database.query(`${createTable('postgres')};
        GRANT SELECT, INSERT ON encryption_key TO ${address.limited.user}, ${address.tlsOnly.user}`)
      return database
    },
    userPool(database, max, port = address.port) {
      const pool = new Pool({ host: '127.0.0.1', port, ...address.limited, database: database.name, max })
      // An application that does not listen dies of an idle connection's error.
      Object.assign(pool).on('error', () => undefined)
      return {
        store: (options) => new PostgresMetastore(pool, options),
        query: (sql) => pool.query(sql),
        end: () => pool.end(),
      }
    },
    async sessions(database) {
      return Number(
        await database.query(
          `SELECT COUNT(*) FROM pg_stat_activity WHERE usename = '${address.limited.user}'`,
        ),
      )
    },
    restart: () => server.restart(),
    kill: () => server.kill(),
    remove: () => server.remove(),
  }
}

export const postgresDialect: SqlDialect = {
  name: 'Postgres',
  module: {
    url: new URL('../../src/metastore/postgres/postgres.ts', import.meta.url).href,
    name: 'PostgresMetastore',
  },
  connect: (text, options) => PostgresMetastore.connect(text, options),
  start,
  time: (seconds) => `to_timestamp(${seconds})`,
  secondsOfCreated: 'extract(epoch FROM created)::bigint',
  observe: `ALTER TABLE encryption_key ADD session_id int DEFAULT pg_backend_pid();
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.id LIKE '_IK_slow%' THEN PERFORM pg_sleep(0.1); END IF; RETURN NEW; END $$;
    CREATE TRIGGER wait BEFORE INSERT ON encryption_key FOR EACH ROW EXECUTE FUNCTION wait()`,
}
