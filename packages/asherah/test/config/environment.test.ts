import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { builtIn, resolveEnvironment } from '../../src/config/config.ts'
import {
  applyToProcessEnvironment,
  type Environment,
  processEnvironment,
} from '../../src/config/environment.ts'
import { ConfigurationError } from '../../src/config/problems.ts'
import { keyNames, schema } from '../../src/config/schema.ts'

const hex = `${'00'.repeat(31)}01`
const everyBackend = [...builtIn, 'rdbms', 'dynamodb', 'aws', 'secrets-manager', 'vault']
const base = { KMS: 'static', STATIC_MASTER_KEY_HEX: hex }
const resolved = (environment: Environment) => resolveEnvironment(environment, everyBackend)
const config = (environment: Environment) => resolved(environment).config

function failure(environment: Environment): ConfigurationError {
  try {
    resolved(environment)
  } catch (error) {
    if (error instanceof ConfigurationError) return error
    throw error
  }
  throw new assert.AssertionError({ message: 'accepted' })
}

describe('resolveEnvironment', () => {
  it('has the defaults of the contract', () => {
    const made = config(base)
    assert.equal(made.serviceName, 'service')
    assert.equal(made.productId, 'product')
    assert.deepEqual(made.metastore, { kind: 'memory' })
    assert.deepEqual(made.policy, {
      expireAfterSeconds: 7_776_000,
      checkIntervalSeconds: 3600,
      createdPrecisionSeconds: 60,
    })
    assert.deepEqual(made.notices, [])
  })

  it('needs a KMS', () => assert.match(failure({}).message, /: KMS is required/))

  it('reads every variable', () => {
    const made = config({
      ...base,
      SERVICE_NAME: 'svc',
      PRODUCT_ID: 'prod',
      REGION_SUFFIX: 'us',
      RECOVERY_REGION_SUFFIXES: ' eu, ,ap ,eu,',
      EXPIRE_AFTER_SECS: '100',
      REVOKE_CHECK_INTERVAL_SECS: '10',
      CREATE_DATE_PRECISION_SECS: '5',
      SESSION_CACHE_MAX_SIZE: '7',
      SESSION_CACHE_DURATION_SECS: '8',
      ASHERAH_RING_SIZE: '9',
      ASHERAH_HOT_SLOTS: '16',
      ASHERAH_REQUIRE_LOCKED_MEMORY: 'YES',
      ASHERAH_HARDEN_PROCESS: 'on',
      ASHERAH_ISOLATED_PLAINTEXT: 'on',
      ASHERAH_ENABLE_CANARIES: '1',
      ASHERAH_VERBOSE: 'True',
      ASHERAH_CALL_TIMEOUT_MS: '12',
    })
    assert.equal(made.serviceName, 'svc')
    assert.equal(made.productId, 'prod')
    assert.equal(made.regionSuffix, 'us')
    assert.deepEqual(made.recoveryRegionSuffixes, ['eu', 'ap'])
    assert.deepEqual(made.policy, {
      expireAfterSeconds: 100,
      checkIntervalSeconds: 10,
      createdPrecisionSeconds: 5,
    })
    assert.deepEqual(made.sessionCache, { enabled: true, maxSize: 7, durationSeconds: 8 })
    assert.deepEqual(made.memory, { ringSize: 9, hotSlots: 16, requireLocked: true, hardenProcess: true })
    assert.deepEqual(made.plaintext, { isolated: true, canaries: true })
    assert.equal(made.verbose, true)
    assert.equal(made.callTimeoutMs, 12)
  })

  it('has each variable once', () => {
    const variables = keyNames.flatMap((key) => schema[key].environment)
    assert.equal(new Set(variables).size, variables.length)
  })

  describe('metastore', () => {
    const all = {
      SQLITE_PATH: '/x.db',
      DDB_TABLE: 't',
      POSTGRES_URL: 'postgres://u:p@h/d',
      MYSQL_URL: 'mysql://u:p@h/d',
    }
    it('is the first of SQLite, DynamoDB, Postgres, MySQL that is set', () => {
      const { SQLITE_PATH: _, ...noSqlite } = all
      const { DDB_TABLE: __, ...noDynamo } = noSqlite
      const { POSTGRES_URL: ___, ...noPostgres } = noDynamo
      assert.deepEqual(config({ ...base, ...all }).metastore, { kind: 'sqlite', path: '/x.db' })
      assert.match(
        config({ ...base, ...all }).notices.join(),
        /SQLITE_PATH is set, so DDB_TABLE, POSTGRES_URL, MYSQL_URL/,
      )
      const table = { kind: 'dynamodb', tableName: 't', region: 'eu-west-1', regionSuffix: true }
      const suffixed = { DDB_REGION_SUFFIX: 'true', AWS_REGION: 'eu-west-1' }
      assert.deepEqual(config({ ...base, ...noSqlite, ...suffixed }).metastore, table)
      assert.equal(resolved({ ...base, ...noDynamo }).secrets.connection?.dialect, 'postgres')
      assert.equal(resolved({ ...base, ...noPostgres }).secrets.connection?.dialect, 'mysql')
    })

    it('is overridden by them, and says so', () => {
      const made = config({ ...base, Metastore: 'memory', SQLITE_PATH: '/x.db' })
      assert.equal(made.metastore.kind, 'sqlite')
      assert.match(made.notices.join(), /SQLITE_PATH is set, so Metastore has no effect/)
      assert.deepEqual(config({ ...base, Metastore: 'sqlite', SQLITE_PATH: '/x.db' }).notices, [])
    })

    it('is read from Metastore in that exact case', () => {
      assert.match(failure({ ...base, Metastore: 'sqlite' }).message, /SQLITE_PATH is required for SQLite/)
      assert.match(failure({ ...base, Metastore: 'rdbms' }).message, /POSTGRES_URL or MYSQL_URL is required/)
      assert.equal(config({ ...base, METASTORE: 'sqlite' }).metastore.kind, 'memory')
    })

    it('takes libpq text, Go DSN, pool and TLS variables', () => {
      const postgres = resolved({
        ...base,
        POSTGRES_URL: "host=h password='a b' dbname=d",
        ASHERAH_POOL_SIZE: '4',
      })
      assert.equal(postgres.secrets.connection?.password, 'a b')
      assert.equal(postgres.config.metastore.kind === 'rdbms' && postgres.config.metastore.pool.maxOpen, 4)
      const mysql = resolved({
        ...base,
        MYSQL_URL: 'u:p@ss@tcp(h)/d',
        MYSQL_TLS_MODE: 'skip-verify',
        ASHERAH_POOL_SIZE: '4',
        ASHERAH_POOL_MAX_OPEN: '5',
        ASHERAH_POOL_MAX_IDLE: '6',
        ASHERAH_POOL_MAX_LIFETIME: '7',
        ASHERAH_POOL_MAX_IDLE_TIME: '8',
        REPLICA_READ_CONSISTENCY: 'global',
      })
      assert.equal(mysql.secrets.connection?.tls, 'unverified')
      assert.deepEqual(mysql.config.metastore, {
        kind: 'rdbms',
        dialect: 'mysql',
        replicaReadConsistency: 'global',
        pool: { maxOpen: 5, maxIdle: 6, maxLifetimeSeconds: 7, maxIdleTimeSeconds: 8 },
      })
    })

    it('refuses a string of another database', () => {
      assert.match(failure({ ...base, MYSQL_URL: 'postgres://u:p@h/d' }).message, /MYSQL_URL holds/)
      assert.match(failure({ ...base, POSTGRES_URL: 'sqlite://x' }).message, /POSTGRES_URL holds/)
    })

    it('takes a variable that is set but empty for a mistake, never for memory', () => {
      for (const name of ['SQLITE_PATH', 'DDB_TABLE', 'POSTGRES_URL', 'MYSQL_URL']) {
        assert.match(failure({ ...base, [name]: '' }).message, new RegExp(`${name} is empty`))
      }
    })
  })

  describe('KMS', () => {
    it('aws', () => {
      const aws = { KMS: 'aws', REGION_MAP: '{"r":"a","s":"b"}', PREFERRED_REGION: 's' }
      assert.deepEqual(config(aws).kms, { kind: 'aws', arns: { r: 'a', s: 'b' }, preferredRegion: 's' })
      assert.deepEqual(config({ KMS: 'aws', KMS_KEY_ID: 'id' }).kms, { kind: 'aws', keyId: 'id' })
      for (const text of ['', 'r=a', '[]', '"r"', '{"r":1}', '{']) {
        assert.deepEqual(
          failure({ KMS: 'aws', REGION_MAP: text }).problems.map(({ key }) => key),
          ['REGION_MAP'],
        )
      }
      assert.match(failure({ KMS: 'aws' }).message, /KMS_KEY_ID is required for AWS KMS, or REGION_MAP/)
    })

    it('secrets-manager', () => {
      const kms = config({ KMS: 'secrets-manager', SECRETS_MANAGER_SECRET_ID: 'id' }).kms
      assert.deepEqual(kms, { kind: 'secrets-manager', secretId: 'id' })
    })

    it('vault, whose variables count for it alone', () => {
      const vault = { VAULT_ADDR: 'https://v', VAULT_TRANSIT_KEY: 'k' }
      const approle = {
        VAULT_AUTH_METHOD: 'AppRole',
        VAULT_APPROLE_ROLE_ID: 'r',
        VAULT_APPROLE_SECRET_ID: 's',
        VAULT_AUTH_MOUNT: 'm',
        VAULT_TRANSIT_MOUNT: 'tm',
      }
      const { config: made, secrets } = resolved({ KMS: 'vault-transit', ...vault, ...approle })
      assert.deepEqual(made.kms, {
        kind: 'vault',
        addr: 'https://v',
        transitKey: 'k',
        transitMount: 'tm',
        auth: { method: 'approle', mount: 'm', roleId: 'r' },
      })
      assert.equal(secrets.vaultApproleSecretId, 's')
      const certificate = { VAULT_CLIENT_CERT: '/c.pem', VAULT_CLIENT_KEY: '/k.pem' }
      assert.deepEqual(config({ KMS: 'vault', ...vault, ...approle, ...certificate }).kms, {
        ...made.kms,
        clientCertPath: '/c.pem',
        clientKeyPath: '/k.pem',
      })
      assert.match(failure({ KMS: 'vault', ...vault }).message, /VAULT_TOKEN is required/)
      assert.equal(
        config({ ...base, VAULT_ADDR: '', VAULT_TOKEN: '', VAULT_AUTH_METHOD: 'x' }).kms.kind,
        'static',
      )
    })

    it('static', () => {
      assert.equal(resolved(base).secrets.staticMasterKey?.[31], 1)
      assert.match(failure({ ...base, STATIC_MASTER_KEY_HEX: '' }).message, /STATIC_MASTER_KEY_HEX is empty/)
      assert.deepEqual(config({ KMS: 'static' }).kms, { kind: 'static', key: 'random' })
      assert.match(failure({ KMS: 'static', SQLITE_PATH: 'x' }).message, /STATIC_MASTER_KEY_HEX is required/)
    })
  })

  it('reads booleans in any case and refuses the rest, like numbers, by the variable’s name', () => {
    for (const text of ['1', 'true', 'YES', 'On', ' true '])
      assert.ok(config({ ...base, ASHERAH_VERBOSE: text }).verbose)
    for (const text of ['0', 'False', 'no', 'OFF'])
      assert.ok(!config({ ...base, ASHERAH_VERBOSE: text }).verbose)
    const error = failure({
      ...base,
      ASHERAH_VERBOSE: 'maybe',
      ASHERAH_ENABLE_CANARIES: '',
      EXPIRE_AFTER_SECS: '90d',
      REVOKE_CHECK_INTERVAL_SECS: '',
      CREATE_DATE_PRECISION_SECS: '0',
      SESSION_CACHE_MAX_SIZE: '1e3',
      ASHERAH_RING_SIZE: '0x10',
      ASHERAH_HOT_SLOTS: '9'.repeat(400),
      ASHERAH_CALL_TIMEOUT_MS: '-1',
    })
    assert.deepEqual(
      new Set(error.problems.map(({ key }) => key)),
      new Set([
        'ASHERAH_VERBOSE',
        'ASHERAH_ENABLE_CANARIES',
        'EXPIRE_AFTER_SECS',
        'REVOKE_CHECK_INTERVAL_SECS',
        'CREATE_DATE_PRECISION_SECS',
        'SESSION_CACHE_MAX_SIZE',
        'ASHERAH_RING_SIZE',
        'ASHERAH_HOT_SLOTS',
        'ASHERAH_CALL_TIMEOUT_MS',
      ]),
    )
  })

  it('has empty suffix variables mean none', () => {
    const made = config({ ...base, REGION_SUFFIX: '', RECOVERY_REGION_SUFFIXES: '' })
    assert.equal(made.regionSuffix, '')
    assert.deepEqual(made.recoveryRegionSuffixes, [])
  })

  it('warns where a variable of another implementation asks for what does not happen', () => {
    const { notices } = config({
      ...base,
      SESSION_CACHE: 'false',
      CACHE_SYSTEM_KEYS: '0',
      CACHE_INTERMEDIATE_KEYS: 'true',
      SHARED_INTERMEDIATE_KEY_CACHE: 'OFF',
      INTERMEDIATE_KEY_CACHE_MAX_SIZE: '5',
      SELF_HEAL_RECOVERED_KEYS: 'nonsense',
      ASHERAH_CONFIG_DRIFT_FORCE_RUN: '',
      ASHERAH_NODE_DEBUG: '1',
    })
    assert.deepEqual(
      notices.map((notice) => notice.split(' ')[0]),
      [
        'SESSION_CACHE',
        'CACHE_SYSTEM_KEYS',
        'SHARED_INTERMEDIATE_KEY_CACHE',
        'INTERMEDIATE_KEY_CACHE_MAX_SIZE',
      ],
    )
  })

  it('warns of variables of Vault that do not count here, where Vault is used', () => {
    const vault = { KMS: 'vault', VAULT_ADDR: 'https://v', VAULT_TRANSIT_KEY: 'k', VAULT_TOKEN: 't' }
    const noticed = (variables: Record<string, string>): string[] =>
      config(variables).notices.map((notice) => notice.replace(/ has no effect here\..*/, ''))
    const foreign = { VAULT_SKIP_VERIFY: 'true', VAULT_CAPATH: '/etc/ssl' }
    assert.deepEqual(noticed({ ...vault, ...foreign }), ['VAULT_SKIP_VERIFY', 'VAULT_CAPATH'])
    assert.deepEqual(noticed({ ...vault, VAULT_SKIP_VERIFY: '0' }), [])
    assert.deepEqual(noticed({ ...base, ...foreign }), [])
  })

  it('never shows a secret', () => {
    const error = failure({
      KMS: 'vault',
      VAULT_ADDR: 'https://u:hunter2@v',
      VAULT_TOKEN: 'hunter2',
      MYSQL_URL: 'mysql://u:hunter2@h:port/d',
      REGION_MAP: '{"hunter2',
    })
    assert.ok(error.problems.length >= 4)
    assert.ok(!error.message.includes('hunter2'))
  })
})

describe('the process’s own environment', () => {
  it('is touched in one file only', () => {
    const root = new URL('../../src/', import.meta.url)
    const users = readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts'))
      .filter((path) => {
        const code = readFileSync(new URL(path, root), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
        return /\bprocess\s*\.\s*env\b|\bprocess\s*\[/.test(code)
      })
    assert.deepEqual(users, ['config/environment.ts'])
  })

  it('is changed as setenv asks', () => {
    const name = 'ASHERAH_TEST_OF_SETENV'
    applyToProcessEnvironment(new Map([[name, 'value']]))
    assert.equal(processEnvironment()[name], 'value')
    const print = `process.stdout.write(String(process.env.${name}))`
    assert.equal(execFileSync(process.execPath, ['-e', print], { encoding: 'utf8' }), 'value')
    applyToProcessEnvironment(new Map([[name, undefined]]))
    assert.equal(name in process.env, false)
  })
})
