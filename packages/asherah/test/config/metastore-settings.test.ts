import assert from 'node:assert/strict'
import { resolve as resolvePath } from 'node:path'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { base, config, failure, resolved } from './resolving.ts'

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

  it('must not be the one word that service and product consist of', () => {
    const oneWord = { ...base, serviceName: 'orders', productId: 'orders' }
    assert.match(
      failure({ ...oneWord, regionSuffix: 'orders' }).message,
      /regionSuffix must not be the one word/,
    )
    const recovering = { ...oneWord, recoveryRegionSuffixes: ['eu', 'orders'] }
    assert.match(failure(recovering).message, /recoveryRegionSuffixes must not be the one word/)
    assert.equal(config({ ...oneWord, regionSuffix: 'order' }).regionSuffix, 'order')
    assert.equal(config({ ...base, productId: 'orders', regionSuffix: 'orders' }).regionSuffix, 'orders')
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
