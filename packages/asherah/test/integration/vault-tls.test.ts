import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  type CertificatePair,
  type Certificates,
  createCertificates,
} from '../../../../tests/support/servers/certificates.ts'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { VaultServer } from '../../../../tests/support/servers/vault.ts'
import {
  VaultAppRole,
  VaultCertificateLogin,
  VaultKubernetes,
} from '../../../../tests/support/servers/vault-logins.ts'
import { AsherahError } from '../../src/errors.ts'
import { type AsherahConfig, SessionFactory } from '../../src/index.ts'
import { VaultKms, type VaultOptions } from '../../src/kms/vault.ts'
import { codeOf } from '../support/world.ts'

const bytes32 = Uint8Array.from({ length: 32 }, (_, index) => 255 - index)

let folder: string
let certificates: Certificates
let vault: VaultServer
const open: VaultKms[] = []

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'asherah-vault-'))
  certificates = await createCertificates(folder)
  vault = await serverWith(certificates.server)
})

after(async () => {
  for (const kms of open) kms.close()
  await vault.close()
  rmSync(folder, { recursive: true })
})

async function serverWith(pair: CertificatePair, clientRequired = false): Promise<VaultServer> {
  const server = await VaultServer.start({
    tls: {
      cert: readFileSync(pair.certificate, 'utf8'),
      key: readFileSync(pair.key, 'utf8'),
      clientAuthority: readFileSync(certificates.authority, 'utf8'),
      clientRequired,
    },
  })
  server.transit().create('asherah')
  return server
}

function kmsOf(server: VaultServer, more: Partial<VaultOptions> = {}): VaultKms {
  const auth = { method: 'token', token: server.rootToken } as const
  const kms = new VaultKms({
    addr: server.address,
    transitKey: 'asherah',
    caPath: certificates.authority,
    auth,
    ...more,
  })
  open.push(kms)
  return kms
}

test('Vault is verified with the authority that is given, and by name', async () => {
  const kms = kmsOf(vault)
  assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(bytes32))), Buffer.from(bytes32))
  await kmsOf(vault, { addr: vault.address.replace('127.0.0.1', 'localhost') }).encryptKey(bytes32)
})

test('a certificate that is not trusted, for another name or out of date is refused before anything is sent', async () => {
  const cases: (readonly [VaultServer, Partial<VaultOptions>])[] = [
    [await serverWith(certificates.untrusted), {}],
    [await serverWith(certificates.otherHost), {}],
    [await serverWith(certificates.expired), {}],
    [await serverWith(certificates.server), { caPath: certificates.untrustedAuthority }],
  ]
  for (const [server, more] of cases) {
    await assert.rejects(kmsOf(server, more).encryptKey(bytes32), (error: unknown) => {
      assert.ok(error instanceof AsherahError)
      assert.equal(error.code, 'ERR_KMS')
      assert.match(error.message, /certificate against vaultCaCert/)
      return true
    })
    assert.deepEqual(server.requests, [])
    await server.close()
  }
})

test('another name may be expected of the certificate', async () => {
  const server = await serverWith(certificates.otherHost)
  await kmsOf(server, { serverName: 'elsewhere.invalid' }).encryptKey(bytes32)
  await server.close()
})

test('login by certificate, whose files are read again at each', async () => {
  const login = vault.enableLogin('cert', new VaultCertificateLogin())
  login.addRole('orders', 'asherah-client')
  const clientCertPath = join(folder, 'mine.pem')
  const clientKeyPath = join(folder, 'mine-key.pem')
  const kms = kmsOf(vault, { auth: { method: 'cert', role: 'orders' }, clientCertPath, clientKeyPath })
  await assert.rejects(
    kms.encryptKey(bytes32),
    /mine(?:-key)?\.pem' for the connection to Vault could not be read/,
  )
  copyFileSync(certificates.server.certificate, clientCertPath)
  copyFileSync(certificates.server.key, clientKeyPath)
  await assert.rejects(kms.encryptKey(bytes32), /auth\/cert\/login/)
  copyFileSync(certificates.client.certificate, clientCertPath)
  copyFileSync(certificates.client.key, clientKeyPath)
  const sealed = await kms.encryptKey(bytes32)
  vault.tokens.revokeAll()
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  assert.equal(
    vault.requests.filter(({ path, status }) => path === 'auth/cert/login' && status === 200).length,
    2,
  )
})

test('a Vault that lets in nobody without a client certificate is used by every method', async (context) => {
  const server = await serverWith(certificates.server, true)
  context.after(() => server.close())
  const grant = { paths: ['transit/'] }
  const appRole = server.enableLogin('approle', new VaultAppRole())
  const roleId = appRole.addRole('orders', grant)
  const kubernetes = server.enableLogin('kubernetes', new VaultKubernetes())
  const account = { name: 'orders', namespace: 'shop' }
  kubernetes.addRole('orders', { account, grant })
  const jwt = join(folder, 'jwt')
  writeFileSync(jwt, kubernetes.serviceAccountToken(account, Date.now() + 60_000))
  server.enableLogin('cert', new VaultCertificateLogin()).addRole('orders', 'asherah-client', grant)
  const methods: Readonly<Record<string, Partial<AsherahConfig>>> = {
    token: { vaultToken: server.issueToken(grant) },
    approle: { vaultApproleRoleId: roleId, vaultApproleSecretId: appRole.addSecretId(roleId) },
    kubernetes: { vaultAuthRole: 'orders', vaultK8sTokenPath: jwt },
    cert: { vaultAuthRole: 'orders' },
  }
  const { certificate: vaultClientCert, key: vaultClientKey } = certificates.client
  for (const [vaultAuthMethod, settings] of Object.entries(methods)) {
    const config: AsherahConfig = {
      ...{ serviceName: 'api', productId: 'catalog', metastore: 'memory', kms: 'vault', vaultAuthMethod },
      ...{ vaultAddr: server.address, vaultTransitKey: 'asherah', vaultCaCert: certificates.authority },
      ...settings,
    }
    const encrypt = async (more: Partial<AsherahConfig>): Promise<string> => {
      const factory = new SessionFactory({ ...config, ...more })
      try {
        return await factory.getSession('tenant-1').encryptStringAsync('secret')
      } finally {
        await factory.closeAsync()
      }
    }
    assert.match(await encrypt({ vaultClientCert, vaultClientKey }), /^\{/, vaultAuthMethod)
    const without = vaultAuthMethod === 'cert' ? 'ERR_CONFIG_INVALID' : 'ERR_KMS'
    assert.equal(await codeOf(() => encrypt({})), without, vaultAuthMethod)
  }
})

test('a client certificate that was renewed in its file counts at the next failure, without a login', async (context) => {
  const server = await serverWith(certificates.server, true)
  context.after(() => server.close())
  const clientCertPath = join(folder, 'short.pem')
  const clientKeyPath = join(folder, 'short-key.pem')
  copyFileSync(certificates.untrusted.certificate, clientCertPath)
  copyFileSync(certificates.untrusted.key, clientKeyPath)
  const kms = kmsOf(server, { clientCertPath, clientKeyPath })
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_KMS')
  assert.deepEqual(server.requests, [])
  copyFileSync(certificates.client.certificate, clientCertPath)
  copyFileSync(certificates.client.key, clientKeyPath)
  assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(bytes32))), Buffer.from(bytes32))
})

test('a redirect to an address without TLS is not followed', async () => {
  const plain = await VaultServer.start()
  plain.transit().create('asherah')
  vault.set({ kind: 'standby', location: plain.address })
  try {
    await assert.rejects(kmsOf(vault).encryptKey(bytes32), /without TLS, which is not followed/)
    assert.deepEqual(plain.requests, [])
  } finally {
    vault.set({ kind: 'healthy' })
    await plain.close()
  }
})

test('faults between here and Vault: each is tried again or an error in time', async () => {
  const proxy = await FaultProxy.start({ host: '127.0.0.1', port: vault.port })
  const kms = kmsOf(vault, {
    addr: `https://127.0.0.1:${proxy.port}`,
    queryTimeoutMs: 1500,
    connectTimeoutMs: 400,
  })
  const sealed = await kms.encryptKey(bytes32)
  proxy.set({ kind: 'cut', direction: 'to-client', times: 1 })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  proxy.set({ kind: 'throttle', bytesPerSecond: 20_000 })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  proxy.set({ kind: 'reset' })
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_KMS')
  proxy.set({ kind: 'black-hole' })
  const started = performance.now()
  // No TLS handshake within the limit for connections.
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_TIMEOUT')
  assert.ok(performance.now() - started < 1400)
  proxy.set({ kind: 'pass' })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  await proxy.close()
})
