import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { VaultServer } from '../../../../tests/support/servers/vault.ts'
import { VaultAppRole, VaultKubernetes } from '../../../../tests/support/servers/vault-logins.ts'
import { AsherahError } from '../../src/errors.ts'
import { VaultKms, type VaultOptions } from '../../src/kms/vault.ts'
import { codeOf } from '../support/world.ts'

const bytes32 = Uint8Array.from({ length: 32 }, (_, index) => 255 - index)
const encoded = Buffer.from(bytes32).toString('base64')

let vault: VaultServer
const open: VaultKms[] = []

beforeEach(async () => {
  vault = await VaultServer.start()
  vault.transit().create('asherah')
})

afterEach(async () => {
  for (const kms of open.splice(0)) kms.close()
  await vault.close()
})

function kmsWith(more: Partial<VaultOptions> = {}): VaultKms {
  const auth = { method: 'token', token: vault.rootToken } as const
  const kms = new VaultKms({ addr: vault.address, transitKey: 'asherah', auth, ...more })
  open.push(kms)
  return kms
}

/** A role that may do what this library does and no more, and its login. */
function appRole(grant: Parameters<VaultAppRole['addRole']>[1] = {}) {
  const login = vault.enableLogin('approle', new VaultAppRole())
  const roleId = login.addRole('orders', {
    paths: ['transit/encrypt/', 'transit/decrypt/', 'auth/token/'],
    ...grant,
  })
  const secretId = login.addSecretId(roleId)
  return { login, roleId, secretId, auth: { method: 'approle', roleId, secretId } as const }
}

function paths(): string[] {
  return vault.requests.map(({ method, path, status }) => `${method} ${path} ${status}`)
}

async function until(condition: () => boolean, ms = 4000): Promise<void> {
  const end = performance.now() + ms
  while (!condition()) {
    assert.ok(performance.now() < end, 'it did not come about')
    await sleep(10)
  }
}

async function failure(call: () => Promise<unknown>): Promise<AsherahError> {
  try {
    await call()
  } catch (error) {
    assert.ok(error instanceof AsherahError, String(error))
    return error
  }
  throw new Error('the call succeeded')
}

test('a system key is stored as Vault writes it, and comes back', async () => {
  const kms = kmsWith()
  const sealed = await kms.encryptKey(bytes32)
  assert.match(Buffer.from(sealed).toString(), /^vault:v1:[A-Za-z0-9+/]+=*$/)
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  assert.deepEqual(
    paths().filter((path) => !path.includes('lookup')),
    ['POST transit/encrypt/asherah 200', 'POST transit/decrypt/asherah 200'],
  )
})

test('old versions of the transit key stay readable', async () => {
  const kms = kmsWith()
  const first = await kms.encryptKey(bytes32)
  vault.transit().rotate('asherah')
  const second = await kms.encryptKey(bytes32)
  assert.match(Buffer.from(second).toString(), /^vault:v2:/)
  for (const sealed of [first, second])
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  vault.transit().setMinDecryptionVersion('asherah', 2)
  const error = await failure(() => kms.decryptKey(first))
  assert.equal(error.code, 'ERR_KMS')
  assert.match(error.message, /400 to transit\/decrypt\/asherah: .*disallowed by policy \(too old\)/)
})

test('many at once, over few connections, each gets its own key', async () => {
  const kms = kmsWith()
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const key = new Uint8Array(randomBytes(32))
      assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(key))), Buffer.from(key))
    }),
  )
})

test('what Vault did not write is refused without a call', async () => {
  const kms = kmsWith()
  for (const text of [
    '',
    'vault',
    'vault:',
    'Vault:v1:AAAA',
    ' vault:v1:AAAA',
    '{"encryptedKey":""}',
    'vault:v1:A\nA',
    'vault:v1:\u00e9',
  ]) {
    assert.equal((await failure(() => kms.decryptKey(Buffer.from(text)))).code, 'ERR_KMS', text)
  }
  assert.equal((await failure(() => kms.decryptKey(randomBytes(60)))).code, 'ERR_KMS')
  assert.deepEqual(vault.requests, [])
})

test('another mount and another key', async () => {
  vault.transit('team/keys').create('my key')
  const kms = kmsWith({ transitMount: '/team/keys/', transitKey: 'my key', addr: `${vault.address}/` })
  assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(bytes32))), Buffer.from(bytes32))
})

test('a namespace goes with every request, the login too', async () => {
  vault.transit('transit', 'team-a').create('asherah')
  const login = vault.enableLogin('approle', new VaultAppRole(), 'team-a')
  const roleId = login.addRole('orders')
  const auth = { method: 'approle', roleId, secretId: login.addSecretId(roleId) } as const
  const kms = kmsWith({ namespace: 'team-a', auth })
  await kms.decryptKey(await kms.encryptKey(bytes32))
  assert.ok(vault.requests.length >= 3)
  for (const { namespace } of vault.requests) assert.equal(namespace, 'team-a')
  assert.match(
    (await failure(() => kmsWith({ namespace: 'team-b', auth }).encryptKey(bytes32))).message,
    /namespace not found/,
  )
})

test('AppRole: one login for many calls at once, none for later ones', async () => {
  const { auth } = appRole()
  const kms = kmsWith({ auth })
  await Promise.all(Array.from({ length: 20 }, () => kms.encryptKey(bytes32)))
  await kms.encryptKey(bytes32)
  assert.deepEqual(
    paths().filter((path) => path.includes('login')),
    ['POST auth/approle/login 200'],
  )
})

test('AppRole without a secret id, and at another mount', async () => {
  const login = vault.enableLogin('machines/linux', new VaultAppRole())
  const roleId = login.addRole('orders', {}, { bindSecretId: false })
  const kms = kmsWith({ auth: { method: 'approle', roleId, mount: 'machines/linux' } })
  await kms.encryptKey(bytes32)
})

test('a refused login is an error that shows neither id', async () => {
  const { roleId } = appRole()
  const secretId = 'not-the-secret-id-4711'
  const error = await failure(() =>
    kmsWith({ auth: { method: 'approle', roleId, secretId } }).encryptKey(bytes32),
  )
  assert.equal(error.code, 'ERR_KMS')
  assert.match(error.message, /Vault answered 400 to auth\/approle\/login: invalid role or secret ID/)
  assert.ok(!inspect(error, { depth: 9 }).includes(secretId))
  // It is never sent twice: a secret id may be good for one use only.
  assert.equal(paths().length, 1)
})

test('Kubernetes: the token is read from its file at each login', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-vault-'))
  try {
    const tokenPath = join(folder, 'token')
    const login = vault.enableLogin('kubernetes', new VaultKubernetes())
    const account = { name: 'orders', namespace: 'shop' }
    login.addRole('orders', { account, grant: { ttl: 3600 } })
    const auth = { method: 'kubernetes', role: 'orders', tokenPath } as const
    const kms = kmsWith({ auth })
    assert.match((await failure(() => kms.encryptKey(bytes32))).message, /could not be read from/)
    writeFileSync(tokenPath, `${login.serviceAccountToken(account, Date.now() - 1000)}\n`)
    const expired = await failure(() => kms.encryptKey(bytes32))
    assert.equal(expired.code, 'ERR_KMS')
    assert.match(expired.message, /auth\/kubernetes\/login/)
    writeFileSync(tokenPath, `${login.serviceAccountToken(account, Date.now() + 60_000)}\n`)
    await kms.encryptKey(bytes32)
    // A new one is there when the next login needs it.
    writeFileSync(tokenPath, login.serviceAccountToken(account, Date.now() + 120_000))
    vault.tokens.revokeAll()
    await kms.encryptKey(bytes32)
    assert.equal(paths().filter((path) => path === 'POST auth/kubernetes/login 200').length, 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a token is renewed when half of its time is over', async () => {
  const { auth } = appRole({ ttl: 2 })
  const kms = kmsWith({ auth })
  await kms.encryptKey(bytes32)
  await until(() => paths().filter((path) => path === 'POST auth/token/renew-self 200').length === 2)
  await kms.encryptKey(bytes32)
  assert.equal(paths().filter((path) => path.includes('login')).length, 1)
})

test('a configured token is renewed too', async () => {
  const token = vault.issueToken({ ttl: 2, paths: ['transit/', 'auth/token/'] })
  const kms = kmsWith({ auth: { method: 'token', token } })
  await kms.encryptKey(bytes32)
  await until(() => paths().filter((path) => path === 'POST auth/token/renew-self 200').length === 2)
  await kms.encryptKey(bytes32)
})

test('a new login takes the place of a token that cannot be renewed, before it expires', async () => {
  for (const grant of [
    { ttl: 2, renewable: false },
    { ttl: 2, maxTtl: 2 },
  ]) {
    const { auth } = appRole(grant)
    const before = paths().length
    const kms = kmsWith({ auth })
    await kms.encryptKey(bytes32)
    const logins = () =>
      paths()
        .slice(before)
        .filter((path) => path.endsWith('login 200')).length
    await until(() => logins() >= 2)
    await kms.encryptKey(bytes32)
    assert.ok(
      !paths()
        .slice(before)
        .some((path) => path.includes('encrypt') && path.endsWith('403')),
    )
    kms.close()
  }
})

test('a token that expired while nothing could be renewed is replaced before it is used', async () => {
  const { auth } = appRole({ ttl: 1 })
  const kms = kmsWith({ auth })
  await kms.encryptKey(bytes32)
  vault.set({ kind: 'sealed' })
  await sleep(1200)
  vault.set({ kind: 'healthy' })
  await kms.encryptKey(bytes32)
  assert.ok(!paths().some((path) => path.includes('encrypt') && path.endsWith('403')), paths().join('\n'))
})

test('after a 403 one new login, for all calls together', async () => {
  const { auth } = appRole()
  const kms = kmsWith({ auth })
  const sealed = await kms.encryptKey(bytes32)
  vault.tokens.revokeAll()
  const keys = await Promise.all(Array.from({ length: 15 }, () => kms.decryptKey(sealed)))
  for (const key of keys) assert.deepEqual(Buffer.from(key), Buffer.from(bytes32))
  assert.equal(paths().filter((path) => path.endsWith('login 200')).length, 2)
})

test('a policy that forbids it is an error after one new login', async () => {
  const { auth } = appRole({ paths: ['transit/decrypt/'] })
  const kms = kmsWith({ auth })
  const error = await failure(() => kms.encryptKey(bytes32))
  assert.equal(error.code, 'ERR_KMS')
  assert.match(
    error.message,
    /Vault answered 403 to transit\/encrypt\/asherah: 1 error occurred: \* permission denied\. Check that/,
  )
  assert.equal(paths().filter((path) => path.endsWith('login 200')).length, 2)
  assert.equal(paths().filter((path) => path.includes('encrypt')).length, 2)
})

test('a configured token that was revoked is an error, without a login', async () => {
  const token = vault.issueToken()
  const kms = kmsWith({ auth: { method: 'token', token } })
  await kms.encryptKey(bytes32)
  vault.tokens.revokeAll()
  const error = await failure(() => kms.encryptKey(bytes32))
  assert.match(error.message, /403 .*permission denied \* invalid token/)
  assert.ok(!inspect(error, { depth: 9 }).includes(token))
})

test('what an answer says is shown, at most 256 characters, and never what was sent', async () => {
  const token = vault.issueToken()
  const kms = kmsWith({ auth: { method: 'token', token } })
  const echo = `you sent ${encoded} with ${token}, and ${encoded} again; ${'x'.repeat(5000)}`
  const bodies = [
    echo,
    JSON.stringify({ errors: [echo] }),
    JSON.stringify({ errors: ['one', 'two'] }),
    '',
    '\u0000\u0007',
  ]
  for (const body of bodies) {
    vault.set({ kind: 'answer', status: 418, body, contentType: 'text/plain' })
    const error = await failure(() => kms.encryptKey(bytes32))
    const told = inspect(error, { depth: 9 })
    assert.ok(!told.includes(token) && !told.includes(encoded), told)
    assert.ok(error.message.length < 400, error.message)
    assert.match(error.message, /^Vault answered 418 to transit\/encrypt\/asherah/)
  }
  vault.set({ kind: 'answer', status: 418, body: bodies[2] ?? '' })
  assert.match((await failure(() => kms.encryptKey(bytes32))).message, /: one; two\.$/)
})

test('a success of another form is an error, not a key', async () => {
  const kms = kmsWith()
  const sealed = await kms.encryptKey(bytes32)
  for (const body of [
    '',
    'null',
    '[]',
    '{}',
    '{"data":null}',
    '{"data":{}}',
    '{"data":{"plaintext":5,"ciphertext":5}}',
    '{"data":{"plaintext":"","ciphertext":""}}',
    '{"data":{"plaintext":"AAAA","ciphertext":"AAAA"}}',
    `{"data":{"plaintext":"${encoded.slice(0, -1)}","ciphertext":"vault"}}`,
    `{"data":{"plaintext":"${'-'.repeat(44)}","ciphertext":"vault:\\u1234"}}`,
    `{"plaintext":"${encoded}","ciphertext":"vault:v1:AAAA"}`,
    '<html>hello</html>',
    `{"data":{"plaintext":"${encoded}`,
  ]) {
    vault.set({ kind: 'answer', status: 200, body })
    for (const call of [() => kms.encryptKey(bytes32), () => kms.decryptKey(sealed)]) {
      const error = await failure(call)
      assert.match(error.message, /in another form/, body)
      assert.ok(!error.message.includes(encoded.slice(0, 8)))
    }
  }
  vault.set({
    kind: 'answer',
    status: 200,
    body: ` {"x":[{"plaintext":"no"},"}"],"data" : { "a":1 , "plaintext" : "${encoded.replaceAll('/', '\\/')}" } }`,
  })
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
})

test('the key that is lent is not changed, and an answer is overwritten', async () => {
  const kms = kmsWith()
  const lent = Uint8Array.from(bytes32)
  const sealed = await kms.encryptKey(lent)
  assert.deepEqual(lent, bytes32)
  const key = await kms.decryptKey(sealed)
  assert.equal(key.buffer.byteLength, 32, 'a backing store of its own')
})

test('a sealed Vault and a proxy in front are told by status, before any JSON, after two more tries', async () => {
  const kms = kmsWith()
  await kms.encryptKey(bytes32)
  const before = paths().filter((path) => path.includes('encrypt')).length
  vault.set({ kind: 'sealed' })
  assert.match((await failure(() => kms.encryptKey(bytes32))).message, /503 .*Vault is sealed\. Unseal Vault/)
  assert.equal(paths().filter((path) => path.includes('encrypt')).length, before + 3)
  vault.set({ kind: 'html' })
  assert.match((await failure(() => kms.encryptKey(bytes32))).message, /502 .*<html>/)
  vault.set({ kind: 'html', status: 200 })
  assert.match((await failure(() => kms.encryptKey(bytes32))).message, /in another form/)
  vault.set({ kind: 'healthy' })
  await kms.encryptKey(bytes32)
})

test('a standby leads to the active server, once, and never away from TLS', async () => {
  const active = await VaultServer.start()
  try {
    active.transit().create('asherah')
    const token = active.issueToken()
    vault.set({ kind: 'standby', location: active.address })
    const kms = kmsWith({ auth: { method: 'token', token } })
    assert.deepEqual(Buffer.from(await kms.decryptKey(await kms.encryptKey(bytes32))), Buffer.from(bytes32))
    active.set({ kind: 'standby', location: vault.address })
    assert.match((await failure(() => kms.encryptKey(bytes32))).message, /answered 307/)
  } finally {
    await active.close()
  }
})

test('a Vault that is away for a moment is tried again; one that stays away is an error in time', async () => {
  const kms = kmsWith()
  await kms.encryptKey(bytes32)
  await vault.close()
  setTimeout(() => void vault.listen(), 200)
  await kms.encryptKey(bytes32)
  await vault.close()
  const started = performance.now()
  const error = await failure(() => kms.encryptKey(bytes32))
  assert.equal(error.code, 'ERR_KMS')
  assert.match(error.message, /could not be reached for transit\/encrypt\/asherah \(ECONN/)
  assert.ok(performance.now() - started < 3000)
  await vault.listen()
  await kms.encryptKey(bytes32)
})

test('a Vault that does not answer is given up after the limit', async () => {
  const kms = kmsWith({ queryTimeoutMs: 150 })
  await kms.encryptKey(bytes32)
  vault.set({ kind: 'slow', ms: 5000 })
  const started = performance.now()
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_TIMEOUT')
  assert.ok(performance.now() - started < 1000)
})

test('options that do not fit are refused, and no secret is shown', () => {
  const auth = { method: 'token', token: 'hvs.secret' } as const
  const good = { addr: 'https://vault.invalid:8200', transitKey: 'asherah', auth }
  const cases: (readonly [VaultOptions, RegExp])[] = [
    [{ ...good, addr: 'vault.invalid:8200' }, /addr must be/],
    [{ ...good, addr: 'https://user:hvs.secret@vault.invalid' }, /user or a password/],
    [{ ...good, transitKey: '' }, /transitKey/],
    [{ ...good, transitMount: '/' }, /transitMount/],
    [{ ...good, auth: { method: 'token', token: '' } }, /the token is empty/],
    [{ ...good, auth: { method: 'token', token: 'hvs.secret\r\nX: y' } }, /white space/],
    [{ ...good, clientCertPath: '/a' }, /belong together/],
    [{ ...good, auth: { method: 'cert' } }, /cert login needs/],
    [
      {
        ...good,
        addr: 'http://127.0.0.1',
        auth: { method: 'cert' },
        clientCertPath: '/a',
        clientKeyPath: '/b',
      },
      /https/,
    ],
  ]
  for (const [options, problem] of cases) {
    assert.throws(
      () => new VaultKms(options),
      (error: unknown) => {
        assert.ok(error instanceof AsherahError)
        assert.equal(error.code, 'ERR_CONFIG_INVALID')
        assert.match(error.message, problem)
        assert.ok(!error.message.includes('secret'))
        return true
      },
    )
  }
  assert.ok(!inspect(new VaultKms(good), { depth: 9, showHidden: true }).includes('secret'))
})

test('after close every call is refused, and no timer or connection is left', async () => {
  const { auth } = appRole({ ttl: 2 })
  const kms = kmsWith({ auth })
  await kms.encryptKey(bytes32)
  kms.close()
  kms.close()
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_CLOSED')
  const before = paths().length
  await sleep(1200)
  assert.equal(paths().length, before)
})
