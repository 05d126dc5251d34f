import assert from 'node:assert/strict'
import { resolve as resolvePath } from 'node:path'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import type { AsherahConfig, CanonicalConfig } from '../../src/config/asherah-config.ts'
import { builtIn, resolveConfig, serialisable } from '../../src/config/config.ts'
import { ConfigurationError } from '../../src/config/problems.ts'
import { keyNames, schema } from '../../src/config/schema.ts'
import { spell } from '../../src/config/spellings.ts'
import { AsherahError } from '../../src/errors.ts'

const hex = '0123456789abcdefABCDEF00112233445566778899aabbccddeeff0011223344'
const everyBackend = [...builtIn, 'rdbms', 'dynamodb', 'aws', 'secrets-manager', 'vault']
const base = {
  serviceName: 'svc',
  productId: 'prod',
  metastore: 'memory',
  kms: 'static',
  staticMasterKeyHex: hex,
}
const rows = { load: () => undefined, loadLatest: () => undefined, store: () => true }
const wrapper = { encryptKey: (key: Uint8Array) => key, decryptKey: (key: Uint8Array) => key }

const resolved = (input: object, environment = {}) => resolveConfig(input, environment, everyBackend)
const config = (input: object, environment = {}) => resolved(input, environment).config

function failure(input: object, environment = {}): ConfigurationError {
  try {
    resolveConfig(input, environment, everyBackend)
  } catch (error) {
    if (error instanceof ConfigurationError) return error
    throw error
  }
  throw new assert.AssertionError({ message: `accepted: ${Object.keys(input).join()}` })
}

describe('resolveConfig', () => {
  it('fills in every default', () => {
    assert.deepEqual(config(base), {
      serviceName: 'svc',
      productId: 'prod',
      regionSuffix: '',
      recoveryRegionSuffixes: [],
      metastore: { kind: 'memory' },
      kms: { kind: 'static', key: 'given' },
      policy: { expireAfterSeconds: 7_776_000, checkIntervalSeconds: 3600, createdPrecisionSeconds: 60 },
      sessionCache: { enabled: true, maxSize: 1000, durationSeconds: 7200 },
      memory: { ringSize: 100_000, hotSlots: 4096, requireLocked: false },
      plaintext: { isolated: false, canaries: false },
      callTimeoutMs: 30_000,
      limits: { connectTimeoutMs: 5000, queryTimeoutMs: 10_000 },
      verbose: false,
      notices: [],
    })
  })

  it('takes over every value', () => {
    const clock = { now: () => 1, monotonic: () => 2 }
    const all = config({
      ...base,
      region_suffix: 'us-west-2',
      RecoveryRegionSuffixes: ['eu', 'ap', 'eu'],
      ExpireAfter: 100,
      checkInterval: 10,
      createdPrecision: 5,
      EnableSessionCaching: false,
      SessionCacheMaxSize: 7,
      SessionCacheDuration: 8,
      ringSize: 9,
      hotSlots: 16,
      requireLockedMemory: true,
      isolatedPlaintext: true,
      EnableCanaries: true,
      callTimeout: 11,
      Verbose: true,
      clock,
    })
    assert.equal(all.regionSuffix, 'us-west-2')
    assert.deepEqual(all.recoveryRegionSuffixes, ['eu', 'ap'])
    assert.deepEqual(all.policy, {
      expireAfterSeconds: 100,
      checkIntervalSeconds: 10,
      createdPrecisionSeconds: 5,
    })
    assert.deepEqual(all.sessionCache, { enabled: false, maxSize: 7, durationSeconds: 8 })
    assert.deepEqual(all.memory, { ringSize: 9, hotSlots: 16, requireLocked: true })
    assert.deepEqual(all.plaintext, { isolated: true, canaries: true })
    assert.equal(all.callTimeoutMs, 11)
    assert.equal(all.verbose, true)
    assert.equal(all.clock, clock)
  })

  it('gives the same result for every spelling', () => {
    const respelled = (style: 'pascal' | 'snake') =>
      Object.fromEntries(
        Object.entries({ ...base, ringSize: 5, regionSuffix: 'r' }).map(([key, value]) => [
          spell(key, style),
          value,
        ]),
      )
    assert.deepEqual(config(respelled('pascal')), config(respelled('snake')))
    assert.equal(config(respelled('pascal')).memory.ringSize, 5)
  })

  it('takes null and undefined for absent, for every key and spelling', () => {
    const nulls = Object.fromEntries(
      keyNames.flatMap((key) => [
        [spell(key, 'pascal'), null],
        [spell(key, 'snake'), undefined],
      ]),
    )
    assert.deepEqual(config({ ...nulls, ...base, kms: 'static' }), config(base))
    assert.deepEqual(
      failure(nulls).problems.map(({ key }) => key),
      ['ServiceName', 'ProductID', 'Metastore', 'KMS'],
    )
  })

  it('freezes all that it makes and nothing that is the user’s', () => {
    const metastore = { ...rows }
    const kms = { ...wrapper }
    const clock = { now: () => 0, monotonic: () => 0 }
    const input = { ...base, metastore, kms, clock, recoveryRegionSuffixes: ['a'] }
    const result = config(input)
    const isFrozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      [metastore, kms, clock].includes(value as typeof metastore & typeof kms & typeof clock) ||
      (Object.isFrozen(value) && Object.values(value).every(isFrozen))
    assert.ok(isFrozen(result))
    for (const own of [metastore, kms, clock, input, input.recoveryRegionSuffixes])
      assert.ok(!Object.isFrozen(own))
    assert.deepEqual(result.metastore, { kind: 'object', metastore })
    assert.ok(Object.isFrozen(config({ ...base, kms: 'aws', regionMap: { r: 'a' } }).kms))
  })

  it('refuses what is no object with a TypeError', () => {
    for (const input of [null, undefined, 'text', 7, [], () => base]) {
      assert.throws(() => resolveConfig(input, {}), TypeError)
    }
  })

  it('reports all problems at once', () => {
    const error = failure({
      ServcieName: 'svc',
      ProductID: 7,
      Metastore: 'sqlit',
      KMS: 'static',
      ExpireAfter: 0,
      CheckInterval: '3600',
      RingSize: 1.5,
      Verbose: 'yes',
      RecoveryRegionSuffixes: ['a', null],
      StaticMasterKeyHex: 'abc',
      Clock: {},
    })
    assert.equal(error.code, 'ERR_CONFIG_INVALID')
    assert.ok(error instanceof AsherahError)
    assert.deepEqual(
      new Set(error.problems.map(({ key }) => key)),
      new Set([
        'ServcieName',
        'ServiceName',
        'ProductID',
        'Metastore',
        'ExpireAfter',
        'CheckInterval',
        'RingSize',
        'Verbose',
        'RecoveryRegionSuffixes',
        'StaticMasterKeyHex',
        'Clock',
      ]),
    )
    for (const { key, message } of error.problems) {
      assert.ok(message.startsWith(`${key} `), message)
      assert.ok(error.message.includes(message))
    }
    assert.match(error.message, /ServcieName is not a known key; the nearest one is ServiceName/)
    assert.match(error.message, /Metastore must be one of .*; the nearest one is sqlite/)
    assert.match(error.message, /ExpireAfter is 0; the smallest value that makes sense is 1 \(seconds\)/)
  })

  it('shows an absurd key in one short line', () => {
    const { message } = failure({ ...base, [`a\nb${'x'.repeat(1000)}`]: 1 })
    assert.ok(message.length < 200)
    assert.ok(!message.includes('\n'))
  })
})

describe('types of values', () => {
  const wrong: Readonly<Record<string, readonly unknown[]>> = {
    text: [7, true, {}, [], 'a\0b', '\ud800'],
    secret: [7, {}, '\udc00x'],
    flag: ['true', 1, 0, {}],
    integer: ['1', 1.5, Number.NaN, Number.POSITIVE_INFINITY, 10n, true, -1, 2 ** 53, {}],
    choice: ['nonsense', 7, {}],
    texts: ['a,b', [1], [null], {}, ['\ud800']],
    map: ['{}', [], { a: 1 }, { a: null }, 7],
    backend: [
      'nonsense',
      7,
      true,
      [],
      {},
      () => rows,
      { load() {} },
      new URL('https://host/module.js'),
      'file:x.js',
    ],
    clock: [{}, 7, { now() {} }],
  }
  for (const key of keyNames) {
    it(`${key}: ${schema[key].type.kind}`, () => {
      for (const value of wrong[schema[key].type.kind] ?? assert.fail()) {
        const { problems } = failure({ ...base, [key]: value })
        assert.deepEqual(
          problems.map((problem) => problem.key),
          [key],
          inspect(value),
        )
      }
    })
  }

  for (const key of keyNames) {
    const { type, default: fallback } = schema[key]
    if (type.kind !== 'integer') continue
    it(`${key}: ${type.min} to ${type.max} ${type.unit}`, () => {
      assert.ok(typeof fallback === 'number' && fallback >= type.min && fallback <= type.max)
      for (const value of [type.min, type.max]) config({ ...base, [key]: value })
      for (const value of [type.min - 1, type.max + 1, -type.max]) {
        assert.ok(failure({ ...base, [key]: value }).message.includes(`${key} is ${value}`))
      }
    })
  }

  it('has texts that are needed filled', () => {
    for (const key of ['serviceName', 'productId'])
      assert.match(failure({ ...base, [key]: '' }).message, /is empty/)
    // Nothing asks for these on a memory metastore.
    config({ ...base, connectionString: '', dynamoDbRegion: '', vaultAddr: '', regionSuffix: '' })
  })
})

describe('region suffix', () => {
  it('takes anything that the partition gate can tell apart', () => {
    for (const regionSuffix of ['us-west-2', 'EU', 'zürich', 'a.b']) {
      assert.equal(config({ ...base, regionSuffix }).regionSuffix, regionSuffix)
    }
    for (const regionSuffix of ['us_west_2', ' ', 'a b', '\t', 'a\n', '\u200b']) {
      assert.match(failure({ ...base, regionSuffix }).message, /regionSuffix must not have/)
      assert.match(failure({ ...base, recoveryRegionSuffixes: ['ok', regionSuffix] }).message, /none with _/)
    }
    assert.match(failure({ ...base, recoveryRegionSuffixes: [''] }).message, /no empty suffix/)
  })

  it('says that enableRegionSuffix needs DynamoDB', () => {
    assert.match(config({ ...base, enableRegionSuffix: true }).notices.join(), /without DynamoDB/)
    const table = { ...base, enableRegionSuffix: true, metastore: 'DynamoDB' }
    assert.deepEqual(config({ ...table, dynamoDbRegion: 'eu-west-1' }).notices, [])
    assert.match(failure(table).message, /dynamoDbRegion is required with enableRegionSuffix/)
    // The suffix is the region that requests are signed for (contract section 1.3).
    assert.equal(config({ ...table, dynamoDbRegion: 'eu-west-1' }).regionSuffix, 'eu-west-1')
    const signed = {
      ...table,
      dynamoDbRegion: 'eu-west-1',
      dynamoDbSigningRegion: 'us-west-2',
      regionSuffix: 'other',
    }
    assert.equal(config(signed).regionSuffix, 'us-west-2')
    const ambient = resolved(table, { AWS_REGION: 'ap-south-1' })
    assert.equal(ambient.config.regionSuffix, 'ap-south-1')
    assert.deepEqual(config({ ...base, enableRegionSuffix: false }).notices, [])
  })
})

describe('created precision', () => {
  it('is lowered to the expiry, with a notice', () => {
    const lowered = config({ ...base, expireAfter: 10 })
    assert.equal(lowered.policy.createdPrecisionSeconds, 10)
    assert.match(lowered.notices.join(), /createdPrecision \(60 s\) is lowered to expireAfter \(10 s\)/)
    assert.deepEqual(config({ ...base, expireAfter: 60 }).notices, [])
  })
})

describe('metastore', () => {
  const tables: [string, object, object][] = [
    ['memory in any case', { metastore: 'MeMoRy' }, { kind: 'memory' }],
    ['test-debug-memory', { metastore: 'test-debug-memory' }, { kind: 'memory' }],
    [
      'sqlite, absolute',
      { metastore: 'SQLite', connectionString: '/a/b.db' },
      { kind: 'sqlite', path: '/a/b.db' },
    ],
    [
      'sqlite, relative',
      { metastore: 'test-debug-sqlite', connectionString: 'b.db' },
      { kind: 'sqlite', path: resolvePath('b.db') },
    ],
    [
      'sqlite://',
      { metastore: 'sqlite', connectionString: 'sqlite:///a.db' },
      { kind: 'sqlite', path: '/a.db' },
    ],
    [
      'sqlite, memory',
      { metastore: 'sqlite', connectionString: ':memory:' },
      { kind: 'sqlite', path: ':memory:' },
    ],
    [
      'sqlite, file URL',
      { metastore: 'sqlite', connectionString: 'file:///a%20b.db' },
      { kind: 'sqlite', path: '/a b.db' },
    ],
    [
      'rdbms, sqlite',
      { metastore: 'rdbms', connectionString: 'sqlite:///a.db' },
      { kind: 'sqlite', path: '/a.db' },
    ],
    [
      'module by URL',
      { metastore: new URL('file:///m.js?x=1') },
      { kind: 'module', url: 'file:///m.js?x=1' },
    ],
    ['module by text', { metastore: 'FILE:///m%20n.js' }, { kind: 'module', url: 'file:///m%20n.js' }],
    [
      'rdbms',
      {
        metastore: 'rdbms',
        connectionString: 'u:p@tcp(h)/d',
        poolMaxOpen: 3,
        replicaReadConsistency: 'session',
      },
      {
        kind: 'rdbms',
        dialect: 'mysql',
        replicaReadConsistency: 'session',
        pool: { maxOpen: 3, maxIdle: 2, maxLifetimeSeconds: 0, maxIdleTimeSeconds: 0 },
      },
    ],
    [
      'dynamodb, bare',
      { metastore: 'dynamodb' },
      { kind: 'dynamodb', tableName: 'EncryptionKey', regionSuffix: false },
    ],
    [
      'dynamodb, full',
      {
        metastore: 'dynamodb',
        DynamoDBTableName: 't',
        dynamoDBEndpoint: 'http://localhost:8000',
        DynamoDbRegion: 'us-west-2',
        dynamodb_signing_region: 'us-east-1',
        EnableRegionSuffix: true,
        AwsProfileName: 'p',
      },
      {
        kind: 'dynamodb',
        tableName: 't',
        endpoint: 'http://localhost:8000',
        region: 'us-west-2',
        signingRegion: 'us-east-1',
        profile: 'p',
        regionSuffix: true,
      },
    ],
  ]
  for (const [name, input, expected] of tables) {
    it(name, () => assert.deepEqual(config({ ...base, ...input }).metastore, expected))
  }

  const mistakes: [string, object, RegExp][] = [
    ['sqlite without a path', { metastore: 'sqlite' }, /connectionString is required for SQLite/],
    ['sqlite, empty path', { metastore: 'sqlite', connectionString: '' }, /connectionString is empty/],
    ['sqlite, empty after scheme', { metastore: 'sqlite', connectionString: 'sqlite://' }, /no path after/],
    ['sqlite at a server', { metastore: 'sqlite', connectionString: 'mysql://u:p@h/d' }, /names a server/],
    ['sqlite, URI', { metastore: 'sqlite', connectionString: 'file:x?mode=memory' }, /plain path/],
    [
      'sqlite, URL with parameters',
      { metastore: 'sqlite', connectionString: 'file:///x?mode=ro' },
      /plain path/,
    ],
    ['sqlite, file URL of a host', { metastore: 'sqlite', connectionString: 'file://host/x' }, /plain path/],
    ['rdbms without a string', { metastore: 'rdbms' }, /connectionString is required for rdbms/],
    [
      'rdbms, unknown form',
      { metastore: 'rdbms', connectionString: 'what' },
      /none of the known forms.*sqlMetastoreDbType/,
    ],
    [
      'rdbms, wrong type',
      { metastore: 'rdbms', connectionString: 'x', sqlMetastoreDbType: 'oracle' },
      /mysql, postgres/,
    ],
    [
      'rdbms, contradicting TLS',
      { metastore: 'rdbms', connectionString: 'u:p@tcp(h)/d?tls=false', mysqlTlsMode: 'true' },
      /mysqlTlsMode contradicts tls= in connectionString/,
    ],
    [
      'consistency',
      { metastore: 'rdbms', connectionString: 'sqlite://x', replicaReadConsistency: 'x' },
      /eventual, global/,
    ],
    ['dynamodb, empty table', { metastore: 'dynamodb', dynamoDbTableName: '' }, /dynamoDbTableName is empty/],
    ['dynamodb, endpoint', { metastore: 'dynamodb', dynamoDbEndpoint: 'localhost:8000' }, /https:\/\//],
    [
      'dynamodb, endpoint with user',
      { metastore: 'dynamodb', dynamoDbEndpoint: 'http://u:p@h' },
      /must not hold/,
    ],
    ['dynamodb, region', { metastore: 'dynamodb', dynamoDbRegion: 'evil.example/' }, /is no region/],
    [
      'object without functions',
      { metastore: { load() {}, store: 1 } },
      /without the function loadLatest and store/,
    ],
    ['relative URL', { metastore: 'file:./m.js' }, /no absolute URL/],
    ['remote URL', { metastore: new URL('https://h/m.js') }, /must be a file: URL/],
    ['file URL of a host', { metastore: 'file://host/m.js' }, /names no file of this machine/],
    ['a path', { metastore: './store.js' }, /metastore must be one of/],
  ]
  for (const [name, input, expected] of mistakes) {
    it(`refuses: ${name}`, () => assert.match(failure({ ...base, ...input }).message, expected))
  }

  it('takes a class instance, whose functions are inherited', () => {
    class Store {
      load() {
        return undefined
      }
      loadLatest() {
        return undefined
      }
      store() {
        return true
      }
    }
    assert.equal(config({ ...base, metastore: new Store() }).metastore.kind, 'object')
  })

  it('keeps the connection beside the configuration', () => {
    const input = {
      ...base,
      metastore: 'rdbms',
      connectionString: 'u:hunter2@tcp(h)/d',
      mysql_tls_mode: 'skip-verify',
    }
    const { config: made, secrets } = resolved(input)
    assert.equal(secrets.connection?.password, 'hunter2')
    assert.equal(secrets.connection?.tls, 'unverified')
    for (const shown of [
      inspect(made, { depth: 9 }),
      inspect(secrets, { showHidden: true }),
      JSON.stringify(secrets),
    ]) {
      assert.ok(!shown.includes('hunter2'))
    }
  })
})

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
      'vault by certificate',
      { ...vault, vaultAuthMethod: 'tls', vaultClientCert: 'c', vaultClientKey: 'k', vaultAuthRole: 'r' },
      {
        ...vaultConfig,
        auth: { method: 'cert', mount: 'cert', role: 'r', clientCertPath: 'c', clientKeyPath: 'k' },
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

describe('what is not built in', () => {
  const later: [object, RegExp][] = [
    [{ metastore: 'rdbms', connectionString: 'postgres://u:hunter2@h/d' }, /metastore rdbms/],
    [{ metastore: 'dynamodb' }, /metastore dynamodb/],
    [{ kms: 'aws', kmsKeyId: 'id' }, /KMS aws/],
    [{ kms: 'secrets-manager', secretsManagerSecretId: 'id' }, /KMS secrets-manager/],
    [{ kms: 'vault', vaultAddr: 'http://v', vaultTransitKey: 'k', vaultToken: 'hunter2' }, /KMS vault/],
    [{ metastore: 'dynamodb', kms: 'aws', kmsKeyId: 'id' }, /metastore dynamodb and the KMS aws/],
  ]
  for (const [input, expected] of later) {
    it(expected.source, () => {
      assert.throws(
        () => resolveConfig({ ...base, ...input }, {}, ['memory', 'sqlite', 'static', 'object', 'module']),
        (error) =>
          error instanceof AsherahError &&
          error.code === 'ERR_NOT_BUILT_IN' &&
          expected.test(error.message) &&
          !error.message.includes('hunter2'),
      )
    })
  }

  it('is answered only when all is right', () => {
    assert.throws(() => resolveConfig({ ...base, metastore: 'rdbms' }, {}, []), {
      code: 'ERR_CONFIG_INVALID',
    })
  })
})

describe('serialisable', () => {
  const sqlite = { ...base, metastore: 'sqlite', connectionString: '/x.db' }
  it('is plain data that another thread can build the same engine from', () => {
    const made = config({ ...sqlite, clock: { now: () => 0, monotonic: () => 0 }, regionSuffix: 'r' })
    const plain = serialisable(made)
    assert.deepEqual(structuredClone(plain), plain)
    const { clock: _, ...rest } = made
    assert.deepEqual(plain, rest)
    assert.notEqual(serialisable(config({ ...sqlite, metastore: new URL('file:///m.js') })), undefined)
    assert.notEqual(serialisable(config({ ...sqlite, kms: new URL('file:///k.js') })), undefined)
  })

  const unreachable: [string, object][] = [
    ['the memory metastore', base],
    ['SQLite in memory', { ...sqlite, connectionString: ':memory:' }],
    ['a metastore of the user’s', { ...sqlite, metastore: rows }],
    ['a KMS of the user’s', { ...sqlite, kms: wrapper }],
    ['a random key', { ...base, staticMasterKeyHex: undefined }],
  ]
  for (const [name, input] of unreachable) {
    it(`is undefined for ${name}`, () => assert.equal(serialisable(config(input)), undefined))
  }

  it('is undefined for a random key on any store', () => {
    assert.equal(serialisable({ ...config(sqlite), kms: { kind: 'static', key: 'random' } }), undefined)
  })
})

describe('secrets', () => {
  it('are never in a message', () => {
    const secret = fc
      .string({ unit: 'grapheme-ascii', minLength: 6, maxLength: 40 })
      .filter((text) => !/^\s|\s$/.test(text))
    const where = fc.constantFrom<(text: string) => object>(
      (text) => ({ staticMasterKeyHex: text, metastore: 'sqlite' }),
      (text) => ({ metastore: 'rdbms', connectionString: text }),
      (text) => ({ metastore: 'rdbms', connectionString: `user:${text}@host/db`, expireAfter: 0 }),
      (text) => ({ metastore: 'rdbms', connectionString: `postgres://user:${text}@host:x/db` }),
      (text) => ({ metastore: 'rdbms', connectionString: `mysql://user:${text}@host:x/db#` }),
      (text) => ({ metastore: 'rdbms', connectionString: `host=h password='${text} dbname=d` }),
      (text) => ({ metastore: `mysql://user:${text}@host/db` }),
      (text) => ({ kms: 'vault', vaultToken: text }),
      (text) => ({ kms: 'vault', vaultAddr: `https://user:${text}@vault` }),
      (text) => ({ kms: 'vault', vaultAuthMethod: 'approle', vaultApproleSecretId: text }),
      (text) => ({ kms: 'test-debug-static', staticMasterKeyHex: text }),
      (text) => ({
        connectionString: [text],
        vaultToken: { token: text },
        staticMasterKeyHex: new Map([[text, text]]),
      }),
    )
    const property = fc.property(secret, where, (text, place) => {
      const marked = `${text}§`
      const error = failure({ ...base, productId: undefined, ...place(marked) })
      assert.ok(!inspect(error, { depth: 9 }).includes(marked))
      assert.ok(!error.message.includes('§'))
    })
    fc.assert(property, { numRuns: 500 })
  })
})

describe('types of the configuration', () => {
  it('accept what is accepted and refuse what is not', () => {
    const camel = {
      serviceName: 's',
      productId: 'p',
      metastore: 'memory',
      kms: 'static',
      ringSize: 2,
      regionSuffix: null,
    } satisfies AsherahConfig
    const canonical = {
      ServiceName: 's',
      ProductID: 'p',
      Metastore: 'memory',
      KMS: 'static',
      DynamoDBEndpoint: null,
      SQLMetastoreDBType: undefined,
      static_master_key_hex: hex,
      vault_k8s_token_path: null,
    } satisfies CanonicalConfig
    // @ts-expect-error No such key.
    const unknown: AsherahConfig = { ...camel, ringsize: 2 }
    // @ts-expect-error A number.
    const mistyped: AsherahConfig = { ...camel, ringSize: '2' }
    // @ts-expect-error Required.
    const missing: AsherahConfig = { serviceName: 's', productId: 'p', metastore: 'memory' }
    config(camel)
    config(canonical)
    for (const wrong of [unknown, mistyped, missing]) failure(wrong)
  })
})
