import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import type { SqlPoolOptions } from '../../src/metastore/sql/sql-options.ts'
import { sampleRecord } from '../metastore/contract.ts'
import { socketsTo } from './open-sockets.ts'
import {
  base,
  isCode,
  type SqlDatabase,
  type SqlDialect,
  type SqlServer,
  type SqlStore,
  until,
} from './sql-dialect.ts'

const { certificates } = testServers()

/** What a store in an SQL database must make of a network or a server that fails. */
export function sqlFaults(dialect: SqlDialect): void {
  // A server of its own: it is stopped and killed.
  let server: SqlServer
  let database: SqlDatabase
  let proxy: FaultProxy

  before(async () => {
    server = await dialect.start({ certificates })
    database = await server.createDatabase()
    proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.address.port })
  })
  after(async () => {
    await proxy.close()
    await server.remove()
  })

  function connect(options: SqlPoolOptions = {}): Promise<SqlStore> {
    return dialect.connect(database.url({ port: proxy.port }), options)
  }

  describe(`${dialect.name} faults`, () => {
    test('a store whose acknowledgement is lost fails, and its row is there', async (context) => {
      const store = await connect()
      context.after(() => store.close())
      const fresh = sampleRecord(base, 1)
      // Its first store may ask for the table's keys too.
      await store.store('_SK_before', base, fresh)
      proxy.set({ kind: 'cut', direction: 'to-client', afterBytes: 0 })
      await assert.rejects(store.store('_SK_lost', base, fresh), isCode('ERR_METASTORE'))
      proxy.set({ kind: 'pass' })
      assert.deepEqual(await store.load('_SK_lost', base), fresh)
      assert.equal(await store.store('_SK_lost', base, fresh), false)
    })

    test('a store that is cut once is done again, and answers that the row is there', async (context) => {
      const store = await connect()
      context.after(() => store.close())
      await store.store('_SK_before', base + 60, sampleRecord(base + 60, 1))
      proxy.set({ kind: 'cut', direction: 'to-client', afterBytes: 0, times: 1 })
      assert.equal(await store.store('_SK_twice', base, sampleRecord(base, 1)), false)
      assert.deepEqual(await store.load('_SK_twice', base), sampleRecord(base, 1))
    })

    test('connections that were lost while idle are replaced, without an error', async (context) => {
      const given = server.userPool(database, 10, proxy.port)
      const stores = [await connect({ pool: { maxIdle: 5 } }), given.store()]
      context.after(async () => {
        await Promise.all(stores.map((store) => store.close()))
        await given.end()
      })
      for (const store of stores) {
        for (const wait of [0, 50]) {
          await Promise.all(Array.from({ length: 5 }, () => store.load('_SK_idle', base)))
          proxy.resetAll()
          await sleep(wait)
          const answers = await Promise.all(Array.from({ length: 5 }, () => store.load('_SK_idle', base)))
          assert.deepEqual(answers, Array.from({ length: 5 }))
        }
      }
    })

    test('a server that does not answer is ERR_TIMEOUT, and frees the socket', async (context) => {
      const store = await connect({ queryTimeoutMs: 200, connectTimeoutMs: 300 })
      context.after(() => store.close())
      await store.load('_SK_silent', base)
      assert.equal(socketsTo(proxy.port), 1)
      proxy.set({ kind: 'black-hole' })
      let began = performance.now()
      await assert.rejects(store.load('_SK_silent', base), isCode('ERR_TIMEOUT'))
      assert.ok(performance.now() - began < 1000)
      began = performance.now()
      await assert.rejects(store.load('_SK_silent', base), isCode('ERR_TIMEOUT'))
      await assert.rejects(store.store('_SK_silent', base, sampleRecord(base, 1)), isCode('ERR_TIMEOUT'))
      assert.ok(performance.now() - began < 1500)
      proxy.set({ kind: 'pass' })
      await until(() => socketsTo(proxy.port) === 0)
      assert.equal(await store.load('_SK_silent', base), undefined)
    })

    test('a lock that another session holds is ERR_TIMEOUT, and the row can be stored later', async (context) => {
      const store = await connect({ queryTimeoutMs: 300 })
      const holder = server.userPool(database, 1)
      context.after(() => Promise.all([store.close(), holder.end()]))
      await holder.query('BEGIN')
      await holder.query(
        `INSERT INTO encryption_key VALUES ('_SK_locked', ${dialect.time(base)}, '{"Created":${base},"Key":"AQID"}')`,
      )
      await assert.rejects(store.store('_SK_locked', base, sampleRecord(base, 1)), isCode('ERR_TIMEOUT'))
      await holder.query('ROLLBACK')
      // The abandoned insert may have gone through by now: the row is there once either way.
      await store.store('_SK_locked', base, sampleRecord(base, 1))
      assert.deepEqual(await store.load('_SK_locked', base), sampleRecord(base, 1))
    })

    test('a refused connection, a cut and a truncated answer are typed errors, and pass by', async (context) => {
      const store = await connect({ connectTimeoutMs: 1000, queryTimeoutMs: 1000 })
      context.after(() => store.close())
      await proxy.refuse()
      proxy.resetAll()
      await assert.rejects(store.load('_SK_a', base), isCode('ERR_METASTORE'))
      await proxy.accept()
      for (const kind of ['cut', 'reset', 'truncate'] as const) {
        for (const direction of ['to-server', 'to-client'] as const) {
          // Some bytes into the start of a connection, into the password exchange, and into the first answer.
          for (const afterBytes of [1, 60, 400]) {
            proxy.set({ kind, direction, afterBytes })
            proxy.resetAll()
            const outcome = await Promise.allSettled([store.load('_SK_a', base)])
            if (outcome[0].status === 'rejected') isCode('ERR_METASTORE', 'ERR_TIMEOUT')(outcome[0].reason)
          }
        }
      }
      proxy.set({ kind: 'pass' })
      assert.equal(await store.load('_SK_a', base), undefined)
    })

    test('a server that is stopped and started serves on; what was acknowledged is there', async (context) => {
      const store = await connect({ pool: { maxIdle: 4 } })
      context.after(() => store.close())
      for (const [round, end] of [
        () => server.restart(),
        () => server.kill().then(() => server.restart()),
      ].entries()) {
        const stored = new Set<number>()
        let running = true
        const writers = Array.from({ length: 4 }, async (_, writer) => {
          for (let index = 0; running; index += 1) {
            const created = base + writer * 100_000 + index
            try {
              await store.store(`_SK_restart-${round}`, created, sampleRecord(created, writer))
              stored.add(created)
            } catch (error) {
              isCode('ERR_METASTORE', 'ERR_TIMEOUT')(error)
              await sleep(20)
            }
          }
        })
        await sleep(200)
        const before = stored.size
        await end()
        await sleep(200)
        running = false
        await Promise.all(writers)
        assert.ok(before > 0 && stored.size > before, 'it stored before and after')
        const there = await database.query(
          `SELECT ${dialect.secondsOfCreated} FROM encryption_key WHERE id = '_SK_restart-${round}'`,
        )
        const rows = new Set(there.split('\n').map(Number))
        assert.deepEqual(
          [...stored].filter((created) => !rows.has(created)),
          [],
        )
      }
    })

    test('close with calls in flight on a server that hangs ends within the time limits', async () => {
      const store = await connect({ queryTimeoutMs: 300, connectTimeoutMs: 300 })
      await store.load('_SK_a', base)
      proxy.set({ kind: 'black-hole' })
      const calls = [store.load('_SK_a', base), store.store('_SK_close', base, sampleRecord(base, 1))]
      const began = performance.now()
      const [outcomes] = await Promise.all([Promise.allSettled(calls), store.close()])
      assert.ok(performance.now() - began < 2500)
      for (const outcome of outcomes) {
        assert.equal(outcome.status, 'rejected')
        isCode('ERR_TIMEOUT')(outcome.reason)
      }
      proxy.set({ kind: 'pass' })
      await until(() => socketsTo(proxy.port) === 0)
    })

    test('close on idle connections that hang ends within a second or two', async () => {
      const store = await connect()
      await Promise.all([store.load('_SK_a', base), store.load('_SK_a', base)])
      assert.equal(socketsTo(proxy.port), 2)
      proxy.set({ kind: 'black-hole' })
      const began = performance.now()
      await store.close()
      assert.ok(performance.now() - began < 2500)
      await until(() => socketsTo(proxy.port) === 0)
      proxy.set({ kind: 'pass' })
    })
  })
}
