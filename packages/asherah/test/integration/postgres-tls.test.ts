import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { PostgresServer } from '../../../../tests/support/servers/postgres.ts'
import {
  createPostgresDatabase,
  type PostgresDatabase,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'
import { postgresDialect } from './postgres-dialect.ts'
import { isCode } from './sql-dialect.ts'
import { sqlTls } from './sql-tls.ts'

const { certificates } = testServers()
const { authority, untrustedAuthority, client } = certificates
const ca = { sslrootcert: authority }

sqlTls(postgresDialect, {
  unverified: { sslmode: 'require' },
  plaintextRefused: 'pg_hba.conf',
  cases: [
    ['server', { sslmode: 'disable' }, 'plaintext refused'],
    ['server', {}, 'in'],
    ['untrusted', {}, 'in'],
    ['server', { sslmode: 'prefer' }, 'in'],
    ['expired', { sslmode: 'prefer' }, 'in'],
    ['server', { sslmode: 'allow' }, 'in'],
    ['server', { sslmode: 'require' }, 'in'],
    ['untrusted', { sslmode: 'require' }, 'in'],
    ['expired', { sslmode: 'require' }, 'in'],
    // As in libpq, require checks the chain where it is given a certificate to check against.
    ['server', { sslmode: 'require', ...ca }, 'in'],
    ['otherHost', { sslmode: 'require', ...ca }, 'in'],
    ['untrusted', { sslmode: 'require', ...ca }, 'certificate'],
    ['server', { sslmode: 'verify-ca', ...ca }, 'in'],
    ['otherHost', { sslmode: 'verify-ca', ...ca }, 'in'],
    ['untrusted', { sslmode: 'verify-ca', ...ca }, 'certificate'],
    ['expired', { sslmode: 'verify-ca', ...ca }, 'certificate'],
    ['server', { sslmode: 'verify-ca' }, 'certificate'],
    ['server', { sslmode: 'verify-ca', sslrootcert: untrustedAuthority }, 'certificate'],
    ['server', { sslmode: 'verify-full', ...ca }, 'in'],
    ['server', { sslmode: 'verify-full', ...ca }, 'in', '127.0.0.1'],
    ['otherHost', { sslmode: 'verify-full', ...ca }, 'certificate'],
    ['otherHost', { sslmode: 'verify-full', ...ca }, 'certificate', '127.0.0.1'],
    ['untrusted', { sslmode: 'verify-full', ...ca }, 'certificate'],
    ['expired', { sslmode: 'verify-full', ...ca }, 'certificate'],
    ['server', { sslmode: 'verify-full' }, 'certificate'],
    ['server', { sslmode: 'verify-full', sslrootcert: 'system' }, 'certificate'],
    ['server', { sslmode: 'verify-full', ...ca, sslcert: client.certificate, sslkey: client.key }, 'in'],
    ['server', { sslmode: 'verify-full', ...ca, channel_binding: 'require' }, 'in'],
    ['server', { sslmode: 'require', channel_binding: 'prefer' }, 'in'],
    ['none', {}, 'in'],
    ['none', { sslmode: 'prefer' }, 'in'],
    ['none', { sslmode: 'allow' }, 'in'],
    ['none', { sslmode: 'disable' }, 'in'],
    ['none', { sslmode: 'require' }, 'no TLS'],
    ['none', { sslmode: 'verify-full', ...ca }, 'no TLS'],
  ],
})

describe('Postgres TLS that is left to the server', () => {
  // A server of its own: its connections are counted.
  let server: PostgresServer
  let database: PostgresDatabase
  before(async () => {
    server = await PostgresServer.start({ certificates })
    database = await createPostgresDatabase(server.address)
  })
  after(() => server.remove())

  /** Whether each connection to the database uses TLS. */
  async function usesTls(): Promise<string> {
    return database.query(
      'SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) ' +
        `WHERE datname = current_database() AND usename <> '${server.address.superuser.user}'`,
    )
  }

  for (const [parameters, account, expected] of [
    [{}, 'limited', 't'],
    [{ sslmode: 'prefer' }, 'limited', 't'],
    [{ sslmode: 'allow' }, 'limited', 'f'],
    [{ sslmode: 'allow' }, 'tlsOnly', 't'],
    [{ sslmode: 'disable' }, 'limited', 'f'],
  ] as const) {
    const said = 'sslmode' in parameters ? parameters.sslmode : 'nothing said'
    test(`${said}, account ${account}: TLS is ${expected === 't' ? 'used' : 'not used'}`, async () => {
      const store = await PostgresMetastore.connect(
        database.url({ account: server.address[account], parameters }),
      )
      try {
        await store.load('_SK_a', 60)
        assert.equal(await usesTls(), expected)
      } finally {
        await store.close()
      }
    })
  }

  test('is never given up where a handshake fails, whatever broke it', async (context) => {
    const proxy = await FaultProxy.start({ host: '127.0.0.1', port: server.address.port })
    context.after(() => proxy.close())
    for (const sslmode of ['prefer', 'require'] as const) {
      for (const kind of ['cut', 'reset'] as const) {
        // The server has said yes to TLS, in one byte; its side of the handshake never comes.
        proxy.set({ kind, direction: 'to-client', afterBytes: 1 })
        const before = proxy.connections
        const store = await PostgresMetastore.connect(
          database.url({ port: proxy.port, parameters: { sslmode } }),
        )
        await assert.rejects(store.load('_SK_a', 60), isCode('ERR_METASTORE'), `${sslmode}, ${kind}`)
        await store.close()
        assert.equal(proxy.connections - before, 1)
      }
    }
  })

  test('stays within the connect time limit over both ways', async (context) => {
    const silent = await FaultProxy.start({ host: '127.0.0.1', port: server.address.port })
    context.after(() => silent.close())
    silent.set({ kind: 'black-hole' })
    const store = await PostgresMetastore.connect(database.url({ port: silent.port }), {
      connectTimeoutMs: 300,
    })
    const began = performance.now()
    await assert.rejects(store.load('_SK_a', 60), isCode('ERR_TIMEOUT'))
    assert.ok(performance.now() - began < 2000)
    await store.close()
  })
})
