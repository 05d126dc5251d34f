import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { testServers } from '../../../../tests/support/servers/test-servers.ts'
import { runTool } from '../../../../tests/support/servers/tool.ts'
import { mysqlDialect } from './mysql-dialect.ts'
import { sqlTls } from './sql-tls.ts'

const { certificates } = testServers()
const { authority, untrustedAuthority, client } = certificates
const ca = { 'ssl-ca': authority }

const folder = mkdtempSync(join(tmpdir(), 'asherah-tls-'))
after(() => rmSync(folder, { recursive: true }))
const nameOnly = { certificate: join(folder, 'name.pem'), key: join(folder, 'name-key.pem') }

sqlTls(mysqlDialect, {
  unverified: { tls: 'skip-verify' },
  plaintextRefused: 'does not let the account in',
  async nameOnly() {
    await runTool('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
      ...['-keyout', nameOnly.key, '-out', nameOnly.certificate],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ])
    return { ...certificates, server: nameOnly }
  },
  cases: [
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
  ],
})
