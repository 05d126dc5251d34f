import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import type { CallsOfThread } from './bridge-connections-worker.ts'
import { mysqlDialect } from './mysql-dialect.ts'
import { postgresDialect } from './postgres-dialect.ts'
import { type SqlDatabase, type SqlServer, sessionsThatStored, until } from './sql-dialect.ts'

const { certificates } = testServers()
const threads = 5
const callsOfThread = 6
const maxOpen = 2

for (const dialect of [postgresDialect, mysqlDialect]) {
  describe(`${threads} threads that miss on ${dialect.name}`, () => {
    let server: SqlServer
    let database: SqlDatabase
    before(async () => {
      server = await dialect.start({ certificates })
      database = await server.createDatabase()
      await database.query(dialect.observe)
    })
    after(() => server.remove())

    /** Connections that are open when all calls are answered, and how many stored keys. */
    async function connectionsOf(how: CallsOfThread['how']): Promise<{ open: number; stored: number }> {
      const name = how === 'synchronous' ? 'bridge' : 'pools'
      const workers = Array.from({ length: threads }, (_, thread) => {
        const workerData: CallsOfThread = {
          how,
          partitions: Array.from({ length: callsOfThread }, (_, index) => `slow-${name}-${thread}-${index}`),
          config: {
            serviceName: 'api',
            productId: 'catalog',
            metastore: 'rdbms',
            connectionString: database.url(),
            poolMaxOpen: maxOpen,
            kms: 'static',
            staticMasterKeyHex: '5c'.repeat(32),
          },
        }
        return new Worker(new URL('./bridge-connections-worker.ts', import.meta.url), { workerData })
      })
      await Promise.all(workers.map((worker) => once(worker, 'message')))
      const answer = {
        open: await server.sessions(database),
        stored: await sessionsThatStored(database, name),
      }
      await Promise.all(
        workers.map(async (worker) => {
          const ended = once(worker, 'exit')
          worker.postMessage('end')
          assert.deepEqual(await ended, [0])
        }),
      )
      await until(async () => (await server.sessions(database)) === 0)
      return answer
    }

    test('share one pool where they call synchronously', async () => {
      const { open, stored } = await connectionsOf('synchronous')
      assert.ok(stored > 0 && stored <= maxOpen, `${stored}`)
      assert.ok(open > 0 && open <= maxOpen, `${open}`)
    })

    test('have one each where they call asynchronously, which the counts show', async () => {
      const { open, stored } = await connectionsOf('asynchronous')
      assert.ok(stored >= threads, `${stored}`)
      assert.ok(open >= threads, `${open}`)
    })
  })
}
