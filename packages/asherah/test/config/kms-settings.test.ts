import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { base, config, failure, hex, resolved, rows, wrapper } from './resolving.ts'

describe('static KMS', () => {
  it('moves the key of the configuration into bytes of its own', () => {
    const { config: made, secrets } = resolved(base)
    assert.deepEqual(made.kms, { kind: 'static', key: 'given' })
    assert.equal(Buffer.from(secrets.staticMasterKey ?? []).toString('hex'), hex.toLowerCase())
    assert.equal(secrets.staticMasterKey?.buffer.byteLength, 32)
    assert.ok(!inspect([made, secrets], { depth: 9, showHidden: true }).toLowerCase().includes('01, 35'))
    secrets.wipe()
    assert.deepEqual(secrets.staticMasterKey, new Uint8Array(32))
  })

  it('reads any 64 digits as Node does', () => {
    const digits = fc.string({
      unit: fc.constantFrom(...'0123456789abcdefABCDEF'),
      minLength: 64,
      maxLength: 64,
    })
    const property = fc.property(digits, (staticMasterKeyHex) => {
      const key = resolved({ ...base, staticMasterKeyHex }).secrets.staticMasterKey
      assert.deepEqual(Buffer.from(key ?? []), Buffer.from(staticMasterKeyHex, 'hex'))
    })
    fc.assert(property)
  })

  const none = { ...base, staticMasterKeyHex: null }
  const sqlite = { metastore: 'sqlite', connectionString: 'x.db' }

  it('falls back to the variable, for static alone, and not beside a given key', () => {
    const environment = { STATIC_MASTER_KEY_HEX: 'ff'.repeat(32) }
    for (const store of [{}, sqlite, { metastore: rows }]) {
      const { config: made, secrets } = resolved({ ...none, ...store }, environment)
      assert.deepEqual(made.kms, { kind: 'static', key: 'given' })
      assert.deepEqual(secrets.staticMasterKey, new Uint8Array(32).fill(255))
    }
    assert.equal(resolved(base, environment).secrets.staticMasterKey?.[0], 1)
    assert.equal(resolved({ ...none, kms: wrapper }, environment).secrets.staticMasterKey, undefined)
    assert.deepEqual(config({ ...none, kms: 'test-debug-static' }, environment).kms, {
      kind: 'static',
      key: 'test',
    })
  })

  for (const value of [
    '',
    ' ',
    'abc',
    hex.slice(1),
    `${hex}0`,
    `0x${hex.slice(2)}`,
    `${hex}\n`,
    hex.replace('0', 'g'),
  ]) {
    it(`refuses ${JSON.stringify(value.slice(0, 8))} of ${value.length}, given or ambient, on any store`, () => {
      for (const store of [{}, sqlite]) {
        const given = failure({ ...base, ...store, staticMasterKeyHex: value })
        assert.deepEqual(
          given.problems.map(({ key }) => key),
          ['staticMasterKeyHex'],
        )
        const ambient = failure({ ...none, ...store }, { STATIC_MASTER_KEY_HEX: value })
        assert.deepEqual(
          ambient.problems.map(({ key }) => key),
          ['STATIC_MASTER_KEY_HEX'],
        )
      }
    })
  }

  it('has a random key on the memory metastore only, with one warning', () => {
    const { config: made, secrets } = resolved(none)
    assert.deepEqual(made.kms, { kind: 'static', key: 'random' })
    assert.equal(secrets.staticMasterKey, undefined)
    assert.equal(made.notices.length, 1)
    for (const store of [sqlite, { metastore: rows }, { metastore: new URL('file:///m.js') }]) {
      assert.match(
        failure({ ...none, ...store }).message,
        /staticMasterKeyHex is required .* STATIC_MASTER_KEY_HEX/,
      )
    }
  })

  it('does not complain of a missing key where the metastore is the mistake', () => {
    assert.deepEqual(
      failure({ ...none, metastore: 'sqlite' }).problems.map(({ key }) => key),
      ['connectionString'],
    )
  })

  it('test-debug-static is the public key, warns, and takes no other', () => {
    const { config: made, secrets } = resolved({ ...none, kms: 'Test-Debug-Static', ...sqlite })
    assert.deepEqual(made.kms, { kind: 'static', key: 'test' })
    assert.equal(Buffer.from(secrets.staticMasterKey ?? []).toString(), 'thisIsAStaticMasterKeyForTesting')
    assert.match(made.notices.join(), /Never use it/)
    assert.match(failure({ ...base, kms: 'test-debug-static' }).message, /is not used by test-debug-static/)
  })
})

describe('other KMS', () => {
  const vault = { kms: 'vault', vaultAddr: 'https://vault:8200/', vaultTransitKey: 'k' }
  const vaultConfig = { kind: 'vault', addr: 'https://vault:8200/', transitKey: 'k', transitMount: 'transit' }
  const tables: [string, object, object][] = [
    ['object', { kms: wrapper }, { kind: 'object', kms: wrapper }],
    ['module', { KMS: 'file:///k.js', kms: null }, { kind: 'module', url: 'file:///k.js' }],
    [
      'aws, one key',
      { kms: 'AWS', kmsKeyId: 'id', awsProfileName: 'p' },
      { kind: 'aws', keyId: 'id', profile: 'p' },
    ],
    [
      'aws, one region',
      { kms: 'aws', regionMap: { r: 'arn' } },
      { kind: 'aws', arns: { r: 'arn' }, preferredRegion: 'r' },
    ],
    [
      'aws, two regions',
      { kms: 'aws', RegionMap: { r: 'a', s: 'b' }, PreferredRegion: 's' },
      { kind: 'aws', arns: { r: 'a', s: 'b' }, preferredRegion: 's' },
    ],
    [
      'secrets-manager',
      { kms: 'secrets-manager', secretsManagerSecretId: 'id' },
      { kind: 'secrets-manager', secretId: 'id' },
    ],
    ['vault by token', { ...vault, vaultToken: 't' }, { ...vaultConfig, auth: { method: 'token' } }],
    [
      'vault by Kubernetes',
      { ...vault, kms: 'Vault-Transit', vaultAuthMethod: 'K8s', vaultAuthRole: 'r', vaultTransitMount: 'm' },
      {
        ...vaultConfig,
        transitMount: 'm',
        auth: {
          method: 'kubernetes',
          mount: 'kubernetes',
          role: 'r',
          tokenPath: '/var/run/secrets/kubernetes.io/serviceaccount/token',
        },
      },
    ],
    [
      'vault by AppRole',
      { ...vault, vaultAuthMethod: 'approle', vaultApproleRoleId: 'r', vaultAuthMount: 'm' },
      { ...vaultConfig, auth: { method: 'approle', mount: 'm', roleId: 'r' } },
    ],
    [
      'vault by token, with a client certificate',
      { ...vault, vaultToken: 't', vaultClientCert: 'c', vaultClientKey: 'k' },
      { ...vaultConfig, clientCertPath: 'c', clientKeyPath: 'k', auth: { method: 'token' } },
    ],
    [
      'vault by certificate',
      { ...vault, vaultAuthMethod: 'tls', vaultClientCert: 'c', vaultClientKey: 'k', vaultAuthRole: 'r' },
      {
        ...vaultConfig,
        clientCertPath: 'c',
        clientKeyPath: 'k',
        auth: { method: 'cert', mount: 'cert', role: 'r' },
      },
    ],
  ]
  for (const [name, input, expected] of tables) {
    it(name, () => assert.deepEqual(config({ ...base, ...input }).kms, expected))
  }

  it('keeps what is secret of Vault beside the configuration', () => {
    const approle = {
      ...vault,
      vaultAuthMethod: 'approle',
      vaultApproleRoleId: 'r',
      vaultApproleSecretId: 'hush',
    }
    assert.equal(resolved({ ...base, ...approle }).secrets.vaultApproleSecretId, 'hush')
    assert.equal(resolved({ ...base, ...vault, vaultToken: 'hush' }).secrets.vaultToken, 'hush')
    assert.ok(!inspect(resolved({ ...base, ...approle }), { depth: 9 }).includes('hush'))
  })

  const mistakes: [string, object, readonly string[]][] = [
    ['aws without a key', { kms: 'aws' }, ['kmsKeyId']],
    ['aws, empty map', { kms: 'aws', regionMap: {} }, ['regionMap']],
    ['aws, empty region', { kms: 'aws', regionMap: { '': 'a' } }, ['regionMap']],
    ['aws, empty ARN', { kms: 'aws', regionMap: { r: '' } }, ['regionMap']],
    [
      'aws, several without a preferred one',
      { kms: 'aws', regionMap: { r: 'a', s: 'b' } },
      ['preferredRegion'],
    ],
    [
      'aws, preferred not in the map',
      { kms: 'aws', regionMap: { r: 'a' }, preferredRegion: 'x' },
      ['preferredRegion'],
    ],
    [
      'aws, preferred of another case',
      { kms: 'aws', regionMap: { r: 'a' }, preferredRegion: 'R' },
      ['preferredRegion'],
    ],
    [
      'aws, preferred empty',
      { kms: 'aws', regionMap: { r: 'a', s: 'b' }, preferredRegion: '' },
      ['preferredRegion'],
    ],
    ['secrets-manager without a secret', { kms: 'secrets-manager' }, ['secretsManagerSecretId']],
    ['vault without anything', { kms: 'vault' }, ['vaultAddr', 'vaultTransitKey', 'vaultToken']],
    ['vault, address', { ...vault, vaultAddr: 'vault:8200', vaultToken: 't' }, ['vaultAddr']],
    [
      'vault, address with user',
      { ...vault, vaultAddr: 'https://u:p@vault', vaultToken: 't' },
      ['vaultAddr'],
    ],
    ['vault, empty token', { ...vault, vaultToken: '' }, ['vaultToken']],
    ['vault, unknown method', { ...vault, vaultAuthMethod: 'ldap' }, ['vaultAuthMethod']],
    ['vault, no role', { ...vault, vaultAuthMethod: 'kubernetes' }, ['vaultAuthRole']],
    ['vault, no role id', { ...vault, vaultAuthMethod: 'approle' }, ['vaultApproleRoleId']],
    [
      'vault, certificate without key',
      { ...vault, vaultToken: 't', vaultClientCert: 'c' },
      ['vaultClientKey'],
    ],
    [
      'vault, key without certificate',
      { ...vault, vaultToken: 't', vaultClientKey: 'k' },
      ['vaultClientCert'],
    ],
    [
      'vault, by certificate without key',
      { ...vault, vaultAuthMethod: 'cert', vaultClientCert: 'c' },
      ['vaultClientKey'],
    ],
    ['vault, no certificate', { ...vault, vaultAuthMethod: 'cert' }, ['vaultClientCert', 'vaultClientKey']],
    ['object without functions', { kms: { encryptKey() {} } }, ['kms']],
  ]
  for (const [name, input, expected] of mistakes) {
    it(`refuses: ${name}`, () => {
      const { problems } = failure({ ...base, ...input })
      assert.deepEqual(
        problems.map(({ key }) => key),
        expected,
      )
    })
  }
})
