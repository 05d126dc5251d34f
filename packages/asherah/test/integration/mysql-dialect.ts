import { MariaDbServer } from '../../../../tests/support/servers/mariadb.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'
import { createDatabase, createPool } from './mysql-store.ts'
import type { SqlDatabase, SqlDialect, SqlServer, SqlServerOptions } from './sql-dialect.ts'

async function start({
  certificates,
  certificate = 'server',
  tls,
  maxConnections,
}: SqlServerOptions): Promise<SqlServer> {
  const server = await MariaDbServer.start({
    certificates,
    certificate,
    settings: [
      ...(tls === false ? ['--skip-ssl'] : []),
      ...(maxConnections === undefined ? [] : [`--max-connections=${maxConnections}`]),
    ],
  })
  return mysqlServer(server)
}

/** A server that was started with settings of a test's own, as the suites see it. */
export function mysqlServer(server: MariaDbServer): SqlServer {
  const { address } = server
  return {
    address,
    createDatabase: () => createDatabase(address),
    userPool(database, max, port = address.port) {
      const pool = createPool({
        host: '127.0.0.1',
        port,
        ...address.limited,
        database: database.name,
        connectionLimit: max,
      })
      return {
        store: (options) => new MysqlMetastore(pool, options),
        query: (sql) => pool.promise().query(sql),
        end: () => pool.promise().end(),
      }
    },
    sessions: (database) => sessions(server, database),
    restart: () => server.restart(),
    kill: () => server.kill(),
    remove: () => server.remove(),
  }
}

/** By the account alone: a session that waits for another's lock shows no database. */
async function sessions(server: MariaDbServer, database: SqlDatabase): Promise<number> {
  const { user } = server.address.limited
  return Number(
    await database.query(`SELECT COUNT(*) FROM information_schema.processlist WHERE user = '${user}'`),
  )
}

export const mysqlDialect: SqlDialect = {
  name: 'MySQL',
  module: {
    url: new URL('../../src/metastore/mysql/mysql.ts', import.meta.url).href,
    name: 'MysqlMetastore',
  },
  connect: (text, options) => MysqlMetastore.connect(text, options),
  start,
  time: (seconds) => `'${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')}'`,
  secondsOfCreated: "TIMESTAMPDIFF(SECOND, '1970-01-01', created)",
  observe: `ALTER TABLE encryption_key ADD session_id BIGINT;
    CREATE TRIGGER tell BEFORE INSERT ON encryption_key FOR EACH ROW
    SET NEW.session_id = CONNECTION_ID() + IF(NEW.id LIKE '_IK_slow%', 0 * SLEEP(0.1), 0)`,
}
