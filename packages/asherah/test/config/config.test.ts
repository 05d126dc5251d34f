import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AsherahConfig, CanonicalConfig } from '../../src/config/asherah-config.ts'
import { resolveConfig } from '../../src/config/config.ts'
import { keyNames } from '../../src/config/schema.ts'
import { spell } from '../../src/config/spellings.ts'
import { AsherahError } from '../../src/errors.ts'
import { base, config, failure, hex, rows, wrapper } from './resolving.ts'

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
      sessionCache: { enabled: true, maxSize: 4096, durationSeconds: 7200 },
      memory: { ringSize: 100_000, hotSlots: 4096, requireLocked: false, hardenProcess: false },
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
      hardenProcess: true,
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
    assert.deepEqual(all.memory, { ringSize: 9, hotSlots: 16, requireLocked: true, hardenProcess: true })
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

describe('created precision', () => {
  it('is lowered to the expiry, with a notice', () => {
    const lowered = config({ ...base, expireAfter: 10 })
    assert.equal(lowered.policy.createdPrecisionSeconds, 10)
    assert.match(lowered.notices.join(), /createdPrecision \(60 s\) is lowered to expireAfter \(10 s\)/)
    assert.deepEqual(config({ ...base, expireAfter: 60 }).notices, [])
  })
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
