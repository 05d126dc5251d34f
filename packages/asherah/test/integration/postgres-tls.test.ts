import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import type { CertificateKind } from '../../../../tests/support/servers/certificates.ts'
import { PostgresServer } from '../../../../tests/support/servers/postgres.ts'
import {
  createPostgresDatabase,
  type PostgresDatabase,
} from '../../../../tests/support/servers/postgres-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { AsherahError } from '../../src/errors.ts'
import { PostgresMetastore } from '../../src/metastore/postgres/postgres.ts'

const { certificates } = testServers()
const { authority, untrustedAuthority, client } = certificates

type Shown = CertificateKind | 'none'
const databases = new Map<Shown, PostgresDatabase>()
const servers: PostgresServer[] = []

before(async () => {
  const kinds: readonly Shown[] = ['server', 'otherHost', 'untrusted', 'expired', 'none']
  await Promise.all(
    kinds.map(async (kind) => {
      const server = await PostgresServer.start({
        certificates,
        ...(kind === 'none' ? { settings: ['ssl=off'] } : { certificate: kind }),
      })
      servers.push(server)
      databases.set(kind, await createPostgresDatabase(server.address))
    }),
  )
})
after(async () => {
  await Promise.all(servers.map((server) => server.remove()))
})

/** `in`, or why not. */
async function outcome(
  shown: Shown,
  parameters: Record<string, string>,
  host = 'localhost',
): Promise<string> {
  const database = databases.get(shown)
  assert.ok(database !== undefined)
  const account = shown === 'none' ? database.server.limited : database.server.tlsOnly
  const text = database.keyValues({ host, account, parameters })
  try {
    const store = await PostgresMetastore.connect(text)
    try {
      await store.load('_SK_a', 60)
      return 'in'
    } finally {
      await store.close()
    }
  } catch (error) {
    assert.ok(error instanceof AsherahError, String(error))
    if (error.code === 'ERR_CONFIG_INVALID') return 'config'
    assert.equal(error.code, 'ERR_METASTORE')
    if (error.message.includes('certificate is refused')) return 'certificate'
    if (error.message.includes('does not speak TLS')) return 'no TLS'
    return error.message.includes('pg_hba.conf') ? 'plaintext refused' : error.message
  }
}

describe('Postgres TLS', () => {
  const ca = { sslrootcert: authority }
  const cases: readonly (readonly [Shown, Record<string, string>, string, string?])[] = [
    ['server', {}, 'plaintext refused'],
    ['server', { sslmode: 'disable' }, 'plaintext refused'],
    ['server', { sslmode: 'prefer' }, 'plaintext refused'],
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
    ['none', { sslmode: 'require' }, 'no TLS'],
    ['none', { sslmode: 'verify-full', ...ca }, 'no TLS'],
  ]
  for (const [shown, parameters, expected, host] of cases) {
    const words = Object.entries(parameters).map(([key, value]) => `${key}=${value.split('/').at(-1)}`)
    test(`${shown}, ${words.join(' ') || 'nothing said'}${host === undefined ? '' : ` at ${host}`}: ${expected}`, async () => {
      assert.equal(await outcome(shown, parameters, host), expected)
    })
  }

  test('an idle connection does not keep a process alive that is done', () => {
    const database = databases.get('server')
    assert.ok(database !== undefined)
    const program = `
      const { PostgresMetastore } = await import(process.argv[1])
      const store = await PostgresMetastore.connect(process.argv[2])
      console.log(await store.load('_SK_a', 60))`
    const module = new URL('../../src/metastore/postgres/postgres.ts', import.meta.url).href
    const text = database.keyValues({
      host: 'localhost',
      account: database.server.tlsOnly,
      parameters: { sslmode: 'require' },
    })
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, module, text], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(output, 'undefined\n')
  })
})
