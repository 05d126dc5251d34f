import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import type { AsherahConfig } from '../../src/config/asherah-config.ts'
import { SessionFactory } from '../../src/session-factory.ts'
import type { DroppingTask, ThreadTask } from './ending-factories-program.ts'
import { mysqlDialect } from './mysql-dialect.ts'
import { postgresDialect } from './postgres-dialect.ts'
import { type SqlDatabase, type SqlServer, until } from './sql-dialect.ts'

const { certificates } = testServers()
const program = new URL('./ending-factories-program.ts', import.meta.url)
const folder = mkdtempSync(join(tmpdir(), 'asherah-ending-'))
after(() => rmSync(folder, { recursive: true }))

const identity = {
  serviceName: 'api',
  productId: 'catalog',
  kms: 'static',
  staticMasterKeyHex: '5c'.repeat(32),
} as const

for (const dialect of [postgresDialect, mysqlDialect]) {
  describe(`connections to ${dialect.name} of a factory`, { timeout: 60_000 }, () => {
    let server: SqlServer
    let database: SqlDatabase
    before(async () => {
      server = await dialect.start({ certificates })
      database = await server.createDatabase()
    })
    after(() => server.remove())

    function config(poolMaxOpen = 1): AsherahConfig {
      return { ...identity, metastore: 'rdbms', connectionString: database.url(), poolMaxOpen }
    }

    /** One connection for the synchronous calls, which other factories may use, and one for the others. */
    async function used(name: string): Promise<SessionFactory> {
      const factory = new SessionFactory(config())
      factory.getSession(name).encryptString('x')
      await factory.getSession(`${name}-later`).encryptStringAsync('x')
      return factory
    }

    test('have ended when closeAsync has, those of the bridge too unless another factory uses them', async () => {
      for (const round of ['first', 'second']) {
        const one = await used(`${round}-one`)
        const other = await used(`${round}-other`)
        assert.equal(await server.sessions(database), 3)
        await one.closeAsync()
        assert.equal(await server.sessions(database), 2)
        other.getSession('more').encryptString('x')
        await other.closeAsync()
        assert.equal(await server.sessions(database), 0)
      }
    })

    test('end soon after its thread, however that ended, unless a living one uses them', async () => {
      // The bridge is this thread's, so that it outlives the others.
      const store = new URL('../support/slow-store.ts', import.meta.url)
      store.searchParams.set('path', join(folder, `${dialect.name}.db`))
      await using own = new SessionFactory({ ...identity, metastore: store.href })
      own.getSession('own').encryptString('x')
      const ends: readonly ('terminated' | 'terminated in a call' | 'exited')[] = [
        'terminated',
        'terminated in a call',
        'exited',
        'terminated',
      ]
      const rounds = 5
      for (let round = 0; round < rounds; round++) {
        const threads = await Promise.all(
          ends.map(async (end, index) => {
            const workerData: ThreadTask = {
              config: config(2),
              name: `${end}-${round}-${index}`,
              at: end === 'terminated in a call' ? 'calls' : 'waiting',
            }
            const worker = new Worker(program, { workerData })
            await once(worker, 'message')
            return { worker, end, exited: once(worker, 'exit') }
          }),
        )
        const open = await server.sessions(database)
        assert.ok(open > 0 && open <= 2, `${open}`)
        for (const { worker, end, exited } of threads) {
          if (end === 'exited') worker.postMessage('end')
          else await worker.terminate()
          await exited
        }
        // The last ones are found without another factory's help; the others when one is made.
        if (round === rounds - 1) await until(async () => (await server.sessions(database)) === 0)
      }
      await using living = new SessionFactory(config())
      living.getSession('living').encryptString('x')
      assert.equal(await server.sessions(database), 1)
    })

    test('end when it was dropped and is collected; a living one keeps its own', async (context) => {
      const dropped = 10
      const child = fork(program, { execArgv: ['--expose-gc'] })
      context.after(() => child.kill('SIGKILL'))
      const exited = once(child, 'exit')
      const task: DroppingTask = { config: config(), dropped }
      child.send(task)
      await once(child, 'message')
      // One of each, one that those of the synchronous calls share.
      assert.equal(await server.sessions(database), dropped + 2)
      child.send('collect')
      await until(async () => (await server.sessions(database)) === 1)
      child.send('end')
      assert.deepEqual(await once(child, 'message'), ['still here', undefined])
      assert.deepEqual(await exited, [0, null])
    })
  })
}
