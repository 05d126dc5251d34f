import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { VaultServer } from '../support/servers/vault.ts'
import { VaultAppRole, VaultKubernetes } from '../support/servers/vault-logins.ts'

const plaintext = 'dGhlIHF1aWNrIGJyb3duIGZveAo='

interface Reply {
  readonly status: number
  readonly errors: readonly string[] | undefined
  readonly data: Readonly<Record<string, unknown>>
  readonly auth: Readonly<Record<string, unknown>>
  readonly warnings: readonly string[] | null
  readonly type: string | null
}

let vault: VaultServer
let now = 1_700_000_000_000

before(async () => {
  vault = await VaultServer.start({ now: () => now })
  vault.transit().create('my-key')
})

after(() => vault.close())

beforeEach(() => vault.set({ kind: 'healthy' }))

async function call(
  path: string,
  body?: unknown,
  token = vault.rootToken,
  options: { readonly namespace?: string; readonly method?: string } = {},
): Promise<Reply> {
  const response = await fetch(`${vault.address}/v1/${path}`, {
    method: options.method ?? (body === undefined ? 'GET' : 'POST'),
    headers: {
      ...(token !== '' && { 'X-Vault-Token': token }),
      ...(options.namespace !== undefined && { 'X-Vault-Namespace': options.namespace }),
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    redirect: 'manual',
  })
  const type = response.headers.get('content-type')
  const text = await response.text()
  const { errors, data, auth, warnings } = type === 'application/json' && text !== '' ? JSON.parse(text) : {}
  return { status: response.status, errors, data, auth, warnings, type }
}

describe('the Vault server: transit', () => {
  test('encrypts and decrypts in the documented shapes', async () => {
    const sealed = await call('transit/encrypt/my-key', { plaintext })
    assert.equal(sealed.status, 200)
    assert.match(String(sealed.data['ciphertext']), /^vault:v1:[A-Za-z0-9+/]+={0,2}$/)
    const again = await call('transit/encrypt/my-key', { plaintext }, vault.rootToken, { method: 'PUT' })
    assert.notEqual(again.data['ciphertext'], sealed.data['ciphertext'])
    const opened = await call('transit/decrypt/my-key', { ciphertext: sealed.data['ciphertext'] })
    assert.deepEqual(opened.data, { plaintext })
  })

  test('rotates keys, and lets old versions be retired', async () => {
    const engine = vault.transit()
    engine.create('turning')
    const old = await call('transit/encrypt/turning', { plaintext })
    assert.equal((await call('transit/keys/turning/rotate', {})).status, 200)
    const young = await call('transit/encrypt/turning', { plaintext })
    assert.match(String(young.data['ciphertext']), /^vault:v2:/)
    assert.deepEqual((await call('transit/decrypt/turning', old.data)).data, { plaintext })
    await call('transit/keys/turning/config', { min_decryption_version: 2 })
    const refused = await call('transit/decrypt/turning', old.data)
    assert.equal(refused.status, 400)
    assert.deepEqual(refused.errors, ['ciphertext or signature version is disallowed by policy (too old)'])
    const key = await call('transit/keys/turning')
    assert.equal(key.data['min_decryption_version'], 2)
    assert.deepEqual(Object.keys(key.data['keys'] as object), ['1', '2'])
  })

  test('words its refusals as Vault does', async () => {
    const { data } = await call('transit/encrypt/my-key', { plaintext })
    const ciphertext = String(data['ciphertext'])
    const broken = Buffer.from(ciphertext.slice(9), 'base64')
    broken[20] = (broken[20] ?? 0) ^ 1
    const token = vault.issueToken()
    const cases: readonly [path: string, body: unknown, status: number, error: string][] = [
      ['transit/encrypt/my-key', {}, 400, 'missing plaintext to encrypt'],
      ['transit/encrypt/my-key', { plaintext: '%' }, 400, 'failed to base64-decode plaintext'],
      ['transit/encrypt/none', { plaintext }, 400, 'encryption key not found'],
      ['transit/decrypt/none', { ciphertext }, 400, 'encryption key not found'],
      ['transit/decrypt/my-key', {}, 400, 'missing ciphertext to decrypt'],
      ['transit/decrypt/my-key', { ciphertext: 'x' }, 400, 'invalid ciphertext: no prefix'],
      [
        'transit/decrypt/my-key',
        { ciphertext: 'vault:v1' },
        400,
        'invalid ciphertext: wrong number of fields',
      ],
      [
        'transit/decrypt/my-key',
        { ciphertext: 'vault:v9:AAAA' },
        400,
        'invalid ciphertext: version is too new',
      ],
      [
        'transit/decrypt/my-key',
        { ciphertext: `vault:v1:${broken.toString('base64')}` },
        400,
        'cipher: message authentication failed',
      ],
      ['transit/encrypt/my-key', '{', 400, 'error parsing JSON'],
      [
        'elsewhere/encrypt/my-key',
        {},
        404,
        'no handler for route "elsewhere/encrypt/my-key". route entry not found.',
      ],
    ]
    for (const [path, body, status, error] of cases) {
      const reply = await call(path, body, token)
      assert.equal(reply.status, status, `${path}: ${error}`)
      assert.deepEqual(reply.errors, [error])
    }
    assert.equal((await call('transit/encrypt/my-key', undefined, token)).status, 405)
    // With the create capability, the endpoint makes the key.
    assert.equal((await call('transit/encrypt/made-on-the-way', { plaintext })).status, 200)
  })

  test('has engines at other mounts and in namespaces, apart from each other', async () => {
    vault.transit('secrets/transit').create('my-key')
    vault.transit('transit', 'team/a').create('my-key')
    const inTeam = { namespace: 'team/a/' }
    const sealed = await call('transit/encrypt/my-key', { plaintext }, vault.rootToken, inTeam)
    assert.equal(sealed.status, 200)
    assert.equal((await call('transit/decrypt/my-key', sealed.data)).status, 400)
    assert.equal((await call('secrets/transit/decrypt/my-key', sealed.data)).status, 400)
    assert.equal((await call('secrets/transit/encrypt/my-key', { plaintext })).status, 200)
    assert.equal(
      (await call('transit/encrypt/my-key', { plaintext }, vault.rootToken, { namespace: 'b' })).status,
      404,
    )
    const local = vault.issueToken({}, 'team/a')
    assert.equal((await call('transit/decrypt/my-key', sealed.data, local, inTeam)).status, 200)
    assert.equal((await call('transit/encrypt/my-key', { plaintext }, local)).status, 403)
  })
})

describe('the Vault server: tokens', () => {
  test('refuses tokens that are missing, unknown, revoked, used up or not allowed', async () => {
    const wrong = ['2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n']
    const use = (token: string): Promise<Reply> => call('transit/encrypt/my-key', { plaintext }, token)
    assert.deepEqual((await use('')).errors, ['permission denied'])
    assert.deepEqual((await use('hvs.unknown')).errors, wrong)
    const token = vault.issueToken()
    assert.equal((await use(token)).status, 200)
    vault.tokens.revoke(token)
    const revoked = await use(token)
    assert.equal(revoked.status, 403)
    assert.deepEqual(revoked.errors, wrong)
    const once = vault.issueToken({ uses: 1 })
    assert.deepEqual([(await use(once)).status, (await use(once)).status], [200, 403])
    const narrow = vault.issueToken({ paths: ['transit/decrypt/'] })
    assert.deepEqual((await use(narrow)).errors, ['1 error occurred:\n\t* permission denied\n\n'])
    const own = vault.issueToken()
    assert.equal((await call('auth/token/revoke-self', {}, own)).status, 204)
    assert.equal((await use(own)).status, 403)
    const bearer = await fetch(`${vault.address}/v1/transit/keys/my-key`, {
      headers: { Authorization: `Bearer ${vault.rootToken}` },
    })
    assert.equal(bearer.status, 200)
    await bearer.arrayBuffer()
  })

  test('renews until the maximum, and lets tokens expire', async () => {
    const token = vault.issueToken({ ttl: 600, maxTtl: 1500 })
    now += 500_000
    const looked = await call('auth/token/lookup-self', undefined, token)
    assert.deepEqual(
      [looked.data['ttl'], looked.data['creation_ttl'], looked.data['id'], looked.data['renewable']],
      [100, 600, token, true],
    )
    const renewed = await call('auth/token/renew-self', {}, token)
    assert.deepEqual([renewed.auth['lease_duration'], renewed.auth['client_token']], [600, token])
    assert.equal(renewed.warnings, null)
    now += 590_000
    const capped = await call('auth/token/renew-self', { increment: '1h' }, token)
    assert.equal(capped.auth['lease_duration'], 410)
    assert.match(String(capped.warnings), /capped accordingly/)
    now += 410_000
    assert.equal((await call('auth/token/renew-self', {}, token)).status, 403)
    const fixed = vault.issueToken({ ttl: 600, renewable: false })
    assert.deepEqual((await call('auth/token/renew-self', {}, fixed)).errors, ['lease is not renewable'])
    assert.deepEqual((await call('auth/token/renew-self', {})).errors, ['lease is not renewable'])
  })
})

describe('the Vault server: logins', () => {
  test('AppRole', async () => {
    const roles = vault.enableLogin('approle', new VaultAppRole())
    const roleId = roles.addRole('app', { ttl: 1200, policies: ['web'] })
    const secretId = roles.addSecretId(roleId, 2)
    const login = (body: object, mount = 'approle'): Promise<Reply> => call(`auth/${mount}/login`, body, '')
    const { auth, data } = await login({ role_id: roleId, secret_id: secretId })
    assert.equal(data, null)
    assert.deepEqual(
      [auth['lease_duration'], auth['renewable'], auth['policies']],
      [1200, true, ['default', 'web']],
    )
    const token = String(auth['client_token'])
    assert.equal((await call('transit/encrypt/my-key', { plaintext }, token)).status, 200)
    assert.equal((await login({ role_id: roleId, secret_id: secretId })).status, 200)
    for (const body of [
      { role_id: roleId, secret_id: secretId },
      { role_id: 'other', secret_id: secretId },
      { role_id: roleId, secret_id: 'other' },
    ]) {
      const refused = await login(body)
      assert.equal(refused.status, 400)
      assert.deepEqual(refused.errors, ['invalid role or secret ID'])
    }
    assert.deepEqual((await login({})).errors, ['missing role_id'])
    assert.deepEqual((await login({ role_id: roleId })).errors, ['missing secret_id'])
    const open = roles.addRole('open', {}, { bindSecretId: false })
    assert.equal((await login({ role_id: open })).status, 200)
    assert.equal((await login({ role_id: open }, 'nowhere')).status, 403)
  })

  test('Kubernetes', async () => {
    const kubernetes = vault.enableLogin('k8s/one', new VaultKubernetes())
    kubernetes.addRole('dev-role', {
      account: { name: 'vault-auth', namespace: 'default' },
      grant: { ttl: 60 },
    })
    const login = (jwt: string, role = 'dev-role'): Promise<Reply> =>
      call('auth/k8s/one/login', { jwt, role }, '')
    const token = (name: string, namespace: string, lifetime = 1000): string =>
      kubernetes.serviceAccountToken({ name, namespace }, now + lifetime)
    const good = token('vault-auth', 'default')
    const { auth } = await login(`${good}\n`)
    assert.equal(auth['lease_duration'], 60)
    assert.equal((auth['metadata'] as Record<string, string>)['service_account_name'], 'vault-auth')
    const cases: readonly [jwt: string, status: number, error: string, role?: string][] = [
      [token('other', 'default'), 403, 'service account name not authorized'],
      [token('vault-auth', 'other'), 403, 'namespace not authorized'],
      [token('vault-auth', 'default', -1000), 403, 'permission denied'],
      [`${good.slice(0, -4)}AAAA`, 403, 'permission denied'],
      [good, 400, 'invalid role name "none"', 'none'],
      ['', 400, 'missing jwt'],
    ]
    for (const [jwt, status, error, role] of cases) {
      const refused = await login(jwt, role)
      assert.equal(refused.status, status, error)
      assert.deepEqual(refused.errors, [error])
    }
  })

  test('certificates need TLS', async () => {
    assert.equal((await call('auth/cert/login', {}, '')).status, 403)
  })
})

describe('the Vault server: moods', () => {
  const use = (): Promise<Reply> => call('transit/encrypt/my-key', { plaintext })

  test('sealed, behind a broken proxy, on standby, with any answer', async () => {
    vault.set({ kind: 'sealed' })
    const sealed = await use()
    assert.equal(sealed.status, 503)
    assert.deepEqual(sealed.errors, ['Vault is sealed'])
    assert.equal((await call('sys/health')).status, 503)
    vault.set({ kind: 'html' })
    const page = await use()
    assert.deepEqual([page.status, page.type], [502, 'text/html'])
    vault.set({ kind: 'standby', location: 'http://127.0.0.1:1' })
    assert.equal((await use()).status, 307)
    vault.set({ kind: 'answer', status: 200, body: '{"data":' })
    await assert.rejects(use(), SyntaxError)
    vault.set({ kind: 'healthy' })
    assert.equal((await use()).status, 200)
    assert.equal((await call('sys/health')).status, 200)
  })

  test('slow', async () => {
    vault.set({ kind: 'slow', ms: 80 })
    const start = performance.now()
    assert.equal((await use()).status, 200)
    assert.ok(performance.now() - start >= 79)
  })

  test('gone and back on the same port, with its keys', async () => {
    const sealed = await use()
    await vault.close()
    await assert.rejects(use(), TypeError)
    await vault.listen()
    assert.deepEqual((await call('transit/decrypt/my-key', sealed.data)).data, { plaintext })
  })

  test('remembers requests without their secrets', async () => {
    const token = vault.issueToken()
    await call('transit/encrypt/my-key', { plaintext }, token)
    const last = vault.requests.at(-1)
    assert.deepEqual(
      [last?.method, last?.path, last?.namespace, last?.status],
      ['POST', 'transit/encrypt/my-key', '', 200],
    )
    const all = JSON.stringify(vault.requests)
    for (const secret of [token, vault.rootToken, plaintext]) assert.ok(!all.includes(secret))
  })
})
