import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CertificateKind } from '../../../../tests/support/servers/certificates.ts'
import { MariaDbServer } from '../../../../tests/support/servers/mariadb.ts'
import {
  createMariaDbDatabase,
  type MariaDbDatabase,
} from '../../../../tests/support/servers/mariadb-database.ts'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { runTool } from '../../../../tests/support/servers/tool.ts'
import { AsherahError } from '../../src/errors.ts'
import { MysqlMetastore } from '../../src/metastore/mysql/mysql.ts'

const { certificates } = testServers()
const { authority, untrustedAuthority, client } = certificates

/** `nameOnly`: a certificate for the name localhost, and not for 127.0.0.1. */
type Shown = CertificateKind | 'none' | 'nameOnly'
const folder = mkdtempSync(join(tmpdir(), 'asherah-tls-'))
const nameOnly = { certificate: join(folder, 'name.pem'), key: join(folder, 'name-key.pem') }
const databases = new Map<Shown, MariaDbDatabase>()
const servers: MariaDbServer[] = []

before(async () => {
  const kinds: readonly Shown[] = ['server', 'otherHost', 'untrusted', 'expired', 'none', 'nameOnly']
  await makeNameOnly()
  // One after the other: MariaDB removes the temporary tables of one that is being set up at the same moment.
  for (const kind of kinds) {
    const server = await MariaDbServer.start({
      certificates: kind === 'nameOnly' ? { ...certificates, server: nameOnly } : certificates,
      ...(kind === 'none' && { settings: ['--skip-ssl'] }),
      ...(kind !== 'none' && kind !== 'nameOnly' && { certificate: kind }),
    })
    servers.push(server)
    databases.set(kind, await createMariaDbDatabase(server.address))
  }
})
after(async () => {
  rmSync(folder, { recursive: true })
  await Promise.all(servers.map((server) => server.remove()))
})

async function makeNameOnly(): Promise<void> {
  await runTool('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-keyout', nameOnly.key, '-out', nameOnly.certificate],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
  ])
}

/** `in`, or why not. */
async function outcome(
  shown: Shown,
  parameters: Record<string, string>,
  host = 'localhost',
): Promise<string> {
  const database = databases.get(shown)
  assert.ok(database !== undefined)
  const account = shown === 'none' ? database.server.limited : database.server.tlsOnly
  const text = database.url({ host, account, parameters })
  try {
    const store = await MysqlMetastore.connect(text)
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
    return error.message.includes('does not let the account in') ? 'plaintext refused' : error.message
  }
}

describe('MySQL TLS', () => {
  const ca = { 'ssl-ca': authority }
  const cases: readonly (readonly [Shown, Record<string, string>, string, string?])[] = [
    ['server', {}, 'plaintext refused'],
    ['server', { tls: 'false' }, 'plaintext refused'],
    ['server', { 'ssl-mode': 'DISABLED' }, 'plaintext refused'],
    ['server', { tls: 'skip-verify' }, 'in'],
    ['server', { 'ssl-mode': 'REQUIRED' }, 'in'],
    ['otherHost', { tls: 'skip-verify' }, 'in'],
    ['untrusted', { tls: 'skip-verify' }, 'in'],
    ['expired', { tls: 'skip-verify' }, 'in'],
    ['server', { 'ssl-mode': 'VERIFY_CA', ...ca }, 'in'],
    ['otherHost', { 'ssl-mode': 'VERIFY_CA', ...ca }, 'in'],
    ['untrusted', { 'ssl-mode': 'VERIFY_CA', ...ca }, 'certificate'],
    ['expired', { 'ssl-mode': 'VERIFY_CA', ...ca }, 'certificate'],
    ['server', { 'ssl-mode': 'VERIFY_CA', 'ssl-ca': untrustedAuthority }, 'certificate'],
    ['server', { tls: 'true', ...ca }, 'in'],
    ['server', { tls: 'preferred', ...ca }, 'in'],
    ['server', { 'ssl-mode': 'VERIFY_IDENTITY', ...ca }, 'in'],
    ['server', { tls: 'true', ...ca }, 'in', '127.0.0.1'],
    ['otherHost', { tls: 'true', ...ca }, 'certificate'],
    ['otherHost', { tls: 'true', ...ca }, 'certificate', '127.0.0.1'],
    ['nameOnly', { tls: 'true', 'ssl-ca': nameOnly.certificate }, 'in'],
    // The certificate is for localhost, and not for an address.
    ['nameOnly', { tls: 'true', 'ssl-ca': nameOnly.certificate }, 'certificate', '127.0.0.1'],
    ['untrusted', { tls: 'true', ...ca }, 'certificate'],
    ['expired', { tls: 'true', ...ca }, 'certificate'],
    ['server', { tls: 'true' }, 'certificate'],
    ['server', { tls: 'true', ...ca, 'ssl-cert': client.certificate, 'ssl-key': client.key }, 'in'],
    ['none', {}, 'in'],
    ['none', { tls: 'true', ...ca }, 'no TLS'],
    ['none', { tls: 'skip-verify' }, 'no TLS'],
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
      const { MysqlMetastore } = await import(process.argv[1])
      const store = await MysqlMetastore.connect(process.argv[2])
      console.log(await store.load('_SK_a', 60))`
    const module = new URL('../../src/metastore/mysql/mysql.ts', import.meta.url).href
    const text = database.url({
      host: 'localhost',
      account: database.server.tlsOnly,
      parameters: { tls: 'skip-verify' },
    })
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', program, module, text], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(output, 'undefined\n')
  })
})
