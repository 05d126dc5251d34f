import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { test } from 'node:test'
import type { CertificatePair } from '../../support/servers/certificates.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { VaultServer } from '../../support/servers/vault.ts'
import { VaultCertificateLogin } from '../../support/servers/vault-logins.ts'

const { certificates } = testServers()

interface Reply {
  readonly status: number | undefined
  readonly body: { readonly errors?: readonly string[]; readonly auth?: { readonly client_token: string } }
}

async function login(vault: VaultServer, client?: CertificatePair, body: object = {}): Promise<Reply> {
  const sent = request(`${vault.address}/v1/auth/cert/login`, {
    method: 'POST',
    ca: readFileSync(certificates.authority),
    ...(client !== undefined && { cert: readFileSync(client.certificate), key: readFileSync(client.key) }),
    agent: false,
  })
  sent.end(JSON.stringify(body))
  const [response] = await once(sent, 'response')
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return { status: response.statusCode, body: JSON.parse(text) }
}

test('the Vault server takes client certificates of its authority only', {
  timeout: 30_000,
}, async (context) => {
  const vault = await VaultServer.start({
    tls: {
      cert: readFileSync(certificates.server.certificate, 'utf8'),
      key: readFileSync(certificates.server.key, 'utf8'),
      clientAuthority: readFileSync(certificates.authority, 'utf8'),
    },
  })
  context.after(() => vault.close())
  const refused = ['invalid certificate or no client certificate supplied']
  const roles = vault.enableLogin('cert', new VaultCertificateLogin())
  assert.deepEqual((await login(vault, certificates.client)).body.errors, refused)
  roles.addRole('app', 'asherah-client', { ttl: 60 })
  const good = await login(vault, certificates.client)
  assert.equal(good.status, 200)
  assert.match(String(good.body.auth?.client_token), /^hvs\./)
  assert.equal((await login(vault, certificates.client, { name: 'app' })).status, 200)
  for (const [client, body] of [
    [undefined, {}],
    [certificates.untrusted, {}],
    [certificates.expired, {}],
    [certificates.client, { name: 'other' }],
  ] as const) {
    const reply = await login(vault, client, body)
    assert.equal(reply.status, 400)
    assert.deepEqual(reply.body.errors, refused)
  }
})
