import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { type ResolvedConfig, resolveEnvironment } from '../../src/config/config.ts'
import { foreignVariables, keyNames, schema } from '../../src/config/schema.ts'

type Variables = Readonly<Record<string, string>>

/** The variables beside which one is tried, what it is set to, and what it makes of the configuration. */
interface Row {
  readonly beside: Variables
  readonly value: string
  readonly look: (resolved: ResolvedConfig) => unknown
  readonly expected: unknown
  /** What is there without it; undefined unless said. `refused`: without it the configuration is. */
  readonly without?: unknown
}

const key = '5c'.repeat(32)
const base: Variables = { KMS: 'static', STATIC_MASTER_KEY_HEX: key }
const postgres: Variables = { ...base, POSTGRES_URL: 'postgres://u:p@h/d' }
const mysql: Variables = { ...base, MYSQL_URL: 'u:p@tcp(h)/d' }
const dynamoDb: Variables = { ...base, DDB_TABLE: 't' }
const aws: Variables = { KMS: 'aws', REGION_MAP: '{"r":"a","s":"b"}', PREFERRED_REGION: 's' }
const vault: Variables = {
  KMS: 'vault',
  VAULT_ADDR: 'https://v',
  VAULT_TRANSIT_KEY: 'k',
  VAULT_TOKEN: 'token',
}
const kubernetes: Variables = { ...vault, VAULT_AUTH_METHOD: 'kubernetes', VAULT_AUTH_ROLE: 'role' }
const appRole: Variables = { ...vault, VAULT_AUTH_METHOD: 'approle', VAULT_APPROLE_ROLE_ID: 'role' }
const certificate: Variables = {
  ...vault,
  VAULT_AUTH_METHOD: 'cert',
  VAULT_CLIENT_CERT: '/c.pem',
  VAULT_CLIENT_KEY: '/k.pem',
}

const member =
  (...path: readonly string[]) =>
  ({ config }: ResolvedConfig): unknown =>
    path.reduce<unknown>((value, name) => (value as Readonly<Record<string, unknown>>)[name], config)

function row(
  beside: Variables,
  value: string,
  look: Row['look'] | readonly string[],
  expected: unknown,
  without?: unknown,
): Row {
  return { beside, value, look: typeof look === 'function' ? look : member(...look), expected, without }
}

/** Every row of contract section 5.2, in its order, but those that only the binding of another language reads. */
const contract: Readonly<Record<string, Row>> = {
  SERVICE_NAME: row(base, 'svc', ['serviceName'], 'svc', 'service'),
  PRODUCT_ID: row(base, 'prod', ['productId'], 'prod', 'product'),
  Metastore: row({ ...base, AWS_REGION: 'r' }, 'dynamodb', ['metastore', 'kind'], 'dynamodb', 'memory'),
  SQLITE_PATH: row(base, '/x.db', ['metastore', 'path'], '/x.db'),
  DDB_TABLE: row(base, 't', ['metastore', 'tableName'], 't'),
  POSTGRES_URL: row(base, 'postgres://u:p@h/d', ({ secrets }) => secrets.connection?.dialect, 'postgres'),
  MYSQL_URL: row(base, 'mysql://u:p@h/d', ({ secrets }) => secrets.connection?.dialect, 'mysql'),
  DDB_REGION_SUFFIX: row({ ...dynamoDb, AWS_REGION: 'eu-west-3' }, 'true', ['regionSuffix'], 'eu-west-3', ''),
  MYSQL_TLS_MODE: row(mysql, 'true', ({ secrets }) => secrets.connection?.tls, 'verify-full', 'off'),
  KMS: row({}, 'static', ['kms', 'kind'], 'static', 'refused'),
  STATIC_MASTER_KEY_HEX: row(
    { KMS: 'static' },
    key,
    ({ secrets }) => secrets.staticMasterKey && Buffer.from(secrets.staticMasterKey).toString('hex'),
    key,
  ),
  REGION_MAP: row({ KMS: 'aws' }, '{"r":"a"}', ['kms', 'arns'], { r: 'a' }, 'refused'),
  PREFERRED_REGION: row({ ...aws }, 's', ['kms', 'preferredRegion'], 's', 'refused'),
  KMS_KEY_ID: row({ KMS: 'aws' }, 'id', ['kms', 'keyId'], 'id', 'refused'),
  SECRETS_MANAGER_SECRET_ID: row({ KMS: 'secrets-manager' }, 'id', ['kms', 'secretId'], 'id', 'refused'),
  VAULT_ADDR: row(vault, 'http://w', ['kms', 'addr'], 'http://w', 'refused'),
  VAULT_TRANSIT_KEY: row(vault, 'l', ['kms', 'transitKey'], 'l', 'refused'),
  VAULT_TRANSIT_MOUNT: row(vault, 'm', ['kms', 'transitMount'], 'm', 'transit'),
  VAULT_TOKEN: row(vault, 'other', ({ secrets }) => secrets.vaultToken, 'other', 'refused'),
  VAULT_AUTH_METHOD: row(certificate, 'tls', ['kms', 'auth', 'method'], 'cert', 'token'),
  VAULT_AUTH_ROLE: row(kubernetes, 'other', ['kms', 'auth', 'role'], 'other', 'refused'),
  VAULT_AUTH_MOUNT: row(kubernetes, 'k', ['kms', 'auth', 'mount'], 'k', 'kubernetes'),
  VAULT_K8S_TOKEN_PATH: row(
    kubernetes,
    '/token',
    ['kms', 'auth', 'tokenPath'],
    '/token',
    '/var/run/secrets/kubernetes.io/serviceaccount/token',
  ),
  VAULT_APPROLE_ROLE_ID: row(appRole, 'other', ['kms', 'auth', 'roleId'], 'other', 'refused'),
  VAULT_APPROLE_SECRET_ID: row(appRole, 'hush', ({ secrets }) => secrets.vaultApproleSecretId, 'hush'),
  VAULT_CLIENT_CERT: row(certificate, '/d.pem', ['kms', 'clientCertPath'], '/d.pem', 'refused'),
  VAULT_CLIENT_KEY: row(certificate, '/l.pem', ['kms', 'clientKeyPath'], '/l.pem', 'refused'),
  REGION_SUFFIX: row(postgres, 'us', ['regionSuffix'], 'us', ''),
  RECOVERY_REGION_SUFFIXES: row(base, 'eu,ap', ['recoveryRegionSuffixes'], ['eu', 'ap'], []),
  REPLICA_READ_CONSISTENCY: row(mysql, 'session', ['metastore', 'replicaReadConsistency'], 'session'),
  ASHERAH_POOL_MAX_OPEN: row(postgres, '3', ['metastore', 'pool', 'maxOpen'], 3, 0),
  ASHERAH_POOL_SIZE: row(postgres, '3', ['metastore', 'pool', 'maxOpen'], 3, 0),
  ASHERAH_POOL_MAX_IDLE: row(mysql, '3', ['metastore', 'pool', 'maxIdle'], 3, 2),
  ASHERAH_POOL_MAX_LIFETIME: row(mysql, '3', ['metastore', 'pool', 'maxLifetimeSeconds'], 3, 0),
  ASHERAH_POOL_MAX_IDLE_TIME: row(mysql, '3', ['metastore', 'pool', 'maxIdleTimeSeconds'], 3, 0),
  EXPIRE_AFTER_SECS: row(base, '100', ['policy', 'expireAfterSeconds'], 100, 7_776_000),
  REVOKE_CHECK_INTERVAL_SECS: row(base, '10', ['policy', 'checkIntervalSeconds'], 10, 3600),
  CREATE_DATE_PRECISION_SECS: row(base, '5', ['policy', 'createdPrecisionSeconds'], 5, 60),
  SESSION_CACHE_MAX_SIZE: row(base, '7', ['sessionCache', 'maxSize'], 7, 4096),
  SESSION_CACHE_DURATION_SECS: row(base, '8', ['sessionCache', 'durationSeconds'], 8, 7200),
}

/** Those that are read, say so in a notice, and change nothing (contract section 12 and `docs/configuration.md`). */
const noticed = {
  SHARED_INTERMEDIATE_KEY_CACHE: 'false',
  INTERMEDIATE_KEY_CACHE_MAX_SIZE: '5',
  SESSION_CACHE: 'false',
  CACHE_SYSTEM_KEYS: 'false',
  CACHE_INTERMEDIATE_KEYS: 'false',
}

/** Those that stand in the documentation as having no effect here. */
const withoutEffect = {
  SELF_HEAL_RECOVERED_KEYS: 'true',
  ASHERAH_CONFIG_DRIFT_FORCE_RUN: 'true',
  ASHERAH_CONFIG_DRIFT_FORCE_UPDATE: 'true',
  ASHERAH_NODE_DEBUG: '1',
  ASHERAH_INTEROP_DEBUG: '1',
  ASHERAH_DOTNET_DISPOSE_TIMEOUT_MS: '1',
}

/** Read by the AWS SDK, of which the requests themselves tell. */
const ofTheSdk = ['AWS_REGION', 'AWS_ENDPOINT_URL']

function outcome(environment: Variables, look: Row['look']): unknown {
  try {
    return look(resolveEnvironment(environment))
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_CONFIG_INVALID') return 'refused'
    throw error
  }
}

describe('every variable of the contract', () => {
  for (const [name, { beside, value, look, expected, without }] of Object.entries(contract)) {
    it(`${name} is read`, () => {
      const { [name]: _, ...others } = beside
      assert.deepEqual(outcome(others, look), without)
      assert.deepEqual(outcome({ ...others, [name]: value }, look), expected)
    })
  }

  it('an old name of the pool size gives way to the new one', () => {
    const { look } = contract['ASHERAH_POOL_SIZE'] ?? assert.fail()
    assert.equal(outcome({ ...postgres, ASHERAH_POOL_SIZE: '4', ASHERAH_POOL_MAX_OPEN: '5' }, look), 5)
  })

  for (const [name, value] of Object.entries({ ...noticed, ...withoutEffect })) {
    it(`${name} changes nothing${name in noticed ? ', and says so' : ''}`, () => {
      const { notices, ...config } = resolveEnvironment({ ...base, [name]: value }).config
      const { notices: _, ...expected } = resolveEnvironment(base).config
      assert.deepEqual(config, expected)
      assert.deepEqual(
        notices.map((notice) => notice.split(' ')[0]),
        name in noticed ? [name] : [],
      )
    })
  }

  it('is known to the documentation', () => {
    const documented = new Set([
      ...keyNames.flatMap((name) => schema[name].environment),
      ...foreignVariables.map(({ name }) => name),
    ])
    const all = [contract, noticed, withoutEffect].flatMap((rows) => Object.keys(rows))
    assert.deepEqual(
      all.filter((name) => !documented.has(name)),
      [],
    )
  })
})

describe(`SessionFactory.fromEnv() with ${ofTheSdk.join(' and ')}`, () => {
  const program = `
    const { SessionFactory } = await import(process.argv[1])
    const factory = SessionFactory.fromEnv()
    const { code } = await factory.getSession('p').encryptStringAsync('x').catch((error) => error)
    await factory.closeAsync()
    console.log(code)`
  const index = new URL('../../src/index.ts', import.meta.url).href

  for (const [variables, service, operation, code] of [
    [dynamoDb, 'dynamodb', 'DynamoDB_20120810.Query', 'ERR_METASTORE'],
    [{ KMS: 'aws', KMS_KEY_ID: 'id' }, 'kms', 'TrentService.GenerateDataKey', 'ERR_KMS'],
    [
      { KMS: 'secrets-manager', SECRETS_MANAGER_SECRET_ID: 'id' },
      'secretsmanager',
      'secretsmanager.GetSecretValue',
      'ERR_KMS',
    ],
  ] as const) {
    it(`asks ${service} at that address, for that region`, async (context) => {
      const requests: (readonly [scope: string | undefined, operation: unknown])[] = []
      // It refuses every request in a way that no SDK tries again.
      const server = createServer((request, response) => {
        const [, scope] =
          /Credential=[^/]+\/\d+\/([^,]+)\/aws4_request/.exec(request.headers.authorization ?? '') ?? []
        requests.push([scope, request.headers['x-amz-target']])
        request.resume().on('end', () => {
          response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
          response.end('{"__type":"AccessDeniedException","message":"no"}')
        })
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      context.after(() => {
        server.close()
        server.closeAllConnections()
      })
      const { port } = server.address() as AddressInfo
      const child = spawn(process.execPath, ['--input-type=module', '-e', program, index], {
        env: {
          PATH: process.env['PATH'],
          ...variables,
          AWS_REGION: 'eu-west-3',
          AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
          AWS_ACCESS_KEY_ID: 'AKIDEXAMPLE',
          AWS_SECRET_ACCESS_KEY: 'example',
          AWS_EC2_METADATA_DISABLED: 'true',
        },
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 30_000,
      })
      let output = ''
      child.stdout.on('data', (chunk) => {
        output += String(chunk)
      })
      assert.deepEqual(await once(child, 'close'), [0, null])
      assert.equal(output, `${code}\n`)
      assert.deepEqual(requests[0], [`eu-west-3/${service}`, operation])
    })
  }
})
