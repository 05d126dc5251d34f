import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { inspect } from 'node:util'
import { ConfigurationError } from 'asherah'
import { keyNames, schema } from 'asherah/admin'
import {
  attributeName,
  type Environment,
  type Flags,
  longName,
  readServeSettings,
  type ServeSettings,
  serveFlags,
} from '../src/index.ts'
import { memoryFlags, temporaryFolder } from './support/sidecar.ts'

const read = (flags: Flags, environment: Environment = {}): ServeSettings =>
  readServeSettings(flags, environment)
const config = (flags: Flags, environment: Environment = {}) => {
  const { config: resolved, secrets } = read(flags, environment).library.resolve()
  secrets.wipe()
  return resolved
}
const problems = (flags: Flags, environment: Environment = {}): string[] => {
  try {
    read(flags, environment)
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems.map(({ message }) => message)
    throw error
  }
  return []
}
const key = '5c'.repeat(32)
const identity = { service: 'svc', product: 'prod' }

describe('the table of flags', () => {
  test('has every key of the library that a text can give, and no name twice', () => {
    const missing = keyNames.filter(
      (name) => schema[name].type.kind !== 'clock' && !serveFlags.some((flag) => flag.key === name),
    )
    assert.deepEqual(missing, [])
    const names = serveFlags.flatMap(({ flags, aliases }) => [flags, ...aliases].map(longName))
    assert.deepEqual(names, [...new Set(names)])
    const variables = serveFlags.flatMap(({ environment }) => environment)
    // One for the text of the connection string and the other for its file.
    assert.deepEqual(variables.toSorted(), [...new Set(variables)].toSorted())
  })

  test('has every flag and variable of the other sidecars', () => {
    const flags =
      `socket-file socket socket-mode service product metastore conn kms region-map preferred-region
      aws-profile-name expire-after check-interval enable-session-caching session-cache-max-size session-cache-duration
      dynamodb-endpoint dynamodb-region dynamodb-table-name enable-region-suffix replica-read-consistency verbose
      config-drift-force-run config-drift-force-update shutdown-drain-timeout`.split(/\s+/)
    const variables =
      `SOCKET_FILE SOCKET SOCKET_MODE SERVICE_NAME PRODUCT_NAME METASTORE_MODE CONNECTION_STRING KMS_MODE
      REGION_MAP PREFERRED_REGION AWS_PROFILE_NAME EXPIRE_AFTER CHECK_INTERVAL ENABLE_SESSION_CACHING
      SESSION_CACHE_MAX_SIZE SESSION_CACHE_DURATION DYNAMODB_ENDPOINT DYNAMODB_REGION DYNAMODB_TABLE_NAME
      ENABLE_REGION_SUFFIX REPLICA_READ_CONSISTENCY VERBOSE CONFIG_DRIFT_FORCE_RUN CONFIG_DRIFT_FORCE_UPDATE
      SHUTDOWN_DRAIN_TIMEOUT`.split(/\s+/)
    const known = new Set(serveFlags.flatMap((flag) => [flag.flags, ...flag.aliases].map(longName)))
    const knownVariables = new Set(serveFlags.flatMap(({ environment }) => environment))
    assert.deepEqual(
      flags.filter((flag) => !known.has(`--${flag}`)),
      [],
    )
    assert.deepEqual(
      variables.filter((name) => !knownVariables.has(`ASHERAH_${name}`)),
      [],
    )
    const shorts = serveFlags.flatMap(({ flags: text }) => /^-(\w),/.exec(text)?.[1] ?? [])
    assert.deepEqual(shorts, ['s', 'v'])
  })

  test('has no flag that takes a secret, but for the connection string as everywhere', () => {
    const secrets = serveFlags.filter(
      ({ key: name, kind }) => name && schema[name].type.kind === 'secret' && kind === 'text',
    )
    assert.deepEqual(
      secrets.map(({ flags }) => longName(flags)),
      ['--conn'],
    )
    assert.ok(
      !serveFlags.some(({ flags }) => ['--static-key', '--static-master-key-hex'].includes(longName(flags))),
    )
  })
})

describe('settings', () => {
  test('have defaults', () => {
    const settings = read(memoryFlags)
    assert.deepEqual(
      [settings.socket, settings.workers, settings.drainTimeoutMs, settings.tcp, settings.verbose],
      [{ path: '/tmp/appencryption.sock', mode: undefined, owner: undefined }, 1, 5000, undefined, false],
    )
    const { policy } = config(memoryFlags)
    // Unset must not mean 0, which would make a new key every minute.
    assert.deepEqual([policy.expireAfterSeconds, policy.checkIntervalSeconds], [7_776_000, 3600])
    assert.ok(Object.isFrozen(settings))
  })

  test('come from variables, which flags outdo, and from the library’s own, which both outdo', () => {
    const own = {
      SERVICE_NAME: 'own',
      PRODUCT_ID: 'own',
      Metastore: 'memory',
      KMS: 'static',
      EXPIRE_AFTER_SECS: '100',
    }
    assert.deepEqual(pick(config({}, own)), ['own', 'own', 100])
    const ours = {
      ...own,
      ASHERAH_SERVICE_NAME: 'variable',
      ASHERAH_PRODUCT_NAME: 'variable',
      ASHERAH_EXPIRE_AFTER: '90m',
    }
    assert.deepEqual(pick(config({}, ours)), ['variable', 'variable', 5400])
    assert.deepEqual(pick(config({ service: 'flag', expireAfter: '7200' }, ours)), ['flag', 'variable', 7200])
    assert.deepEqual(pick(config({ serviceName: 'alias', expireAfter: '1h' }, ours)), [
      'alias',
      'variable',
      3600,
    ])
  })

  test('come from a file too, which is the weakest', (context) => {
    const path = join(temporaryFolder(context), 'asherah.json')
    writeFileSync(
      path,
      JSON.stringify({ ServiceName: 'file', ProductID: 'file', Metastore: 'memory', KMS: 'static' }),
    )
    assert.deepEqual(pick(config({ config: path, product: 'flag' })), ['file', 'flag', 7_776_000])
  })

  test('take the static key from a file or a variable', (context) => {
    const path = join(temporaryFolder(context), 'key')
    writeFileSync(path, `${key}\n`)
    const base = { ...identity, kms: 'static', metastore: 'sqlite', conn: 'keys.db' }
    for (const [flags, environment] of [
      [{ ...base, staticKeyFile: path }, {}],
      [base, { ASHERAH_STATIC_KEY_FILE: path }],
      [base, { ASHERAH_STATIC_MASTER_KEY_HEX: key }],
      [base, { STATIC_MASTER_KEY_HEX: key }],
    ] as const) {
      const settings = read(flags, environment)
      assert.deepEqual(
        Buffer.from(settings.library.resolve().secrets.staticMasterKey ?? []),
        Buffer.from(key, 'hex'),
      )
      assert.ok(!inspect(settings, { depth: 9, showHidden: true }).includes(key))
      assert.ok(!JSON.stringify(settings).includes(key))
    }
  })

  test('reach every metastore and KMS', () => {
    const backends: [flags: Flags, environment: Environment, metastore: string, kms: string][] = [
      [
        { metastore: 'rdbms', kms: 'static' },
        { ASHERAH_CONNECTION_STRING: 'u:p@tcp(db:3306)/keys', STATIC_MASTER_KEY_HEX: key },
        'rdbms',
        'static',
      ],
      [
        { kms: 'static' },
        { POSTGRES_URL: 'postgres://u:p@db/keys', STATIC_MASTER_KEY_HEX: key },
        'rdbms',
        'static',
      ],
      [
        {
          metastore: 'dynamodb',
          dynamodbRegion: 'us-west-2',
          regionMap: ' us-west-2 = arn:a , us-east-1=arn:b',
          preferredRegion: 'us-west-2',
        },
        {},
        'dynamodb',
        'aws',
      ],
      [{ metastore: 'memory', kms: 'aws', kmsKeyId: 'arn:aws:kms:us-west-2:1:key/k' }, {}, 'memory', 'aws'],
      [
        { metastore: 'memory', kms: 'vault', vaultAddr: 'https://v', vaultTransitKey: 'k' },
        { VAULT_TOKEN: 't' },
        'memory',
        'vault',
      ],
      [
        { metastore: 'memory', kms: 'vault', vaultAuthMethod: 'kubernetes', vaultAuthRole: 'r' },
        { VAULT_ADDR: 'https://v', VAULT_TRANSIT_KEY: 'k' },
        'memory',
        'vault',
      ],
      [
        { metastore: 'memory', kms: 'secrets-manager', secretsManagerSecretId: 's' },
        { AWS_REGION: 'us-west-2' },
        'memory',
        'secrets-manager',
      ],
    ]
    for (const [flags, environment, metastore, kms] of backends) {
      const resolved = config({ ...identity, ...flags }, environment)
      assert.deepEqual([resolved.metastore.kind, resolved.kms.kind], [metastore, kms])
    }
  })

  test('of sockets and TCP are read as they are written', () => {
    const { socket, tcp, limits } = read({
      ...memoryFlags,
      socket: 'unix:///run/a/b.sock',
      socketMode: '0660',
      socketOwner: '7:8',
      tcpAddress: '[::1]:50051',
      maxBytesInFlight: '1GiB',
      idleTimeout: '1h30m',
    })
    assert.deepEqual(socket, { path: '/run/a/b.sock', mode: 0o660, owner: { user: 7, group: 8 } })
    assert.deepEqual(tcp, { host: '::1', port: 50_051, tls: undefined })
    assert.deepEqual([limits.maxBytesInFlight, limits.idleTimeoutMs], [2 ** 30, 5_400_000])
    for (const value of ['', true, 'true', 'false', '0']) {
      const { verbose } = read({ ...memoryFlags, ...(value !== '' && { verbose: value }) })
      assert.equal(verbose, value === true || value === 'true')
    }
  })
})

describe('a mistake is told with what to type', () => {
  const table: [flags: Flags, environment: Environment, message: RegExp][] = [
    [{}, {}, /^--service is required; type --service or set ASHERAH_SERVICE_NAME$/],
    [{ ...memoryFlags, kms: 'statik' }, {}, /^KMS must be one of .*; type --kms or set ASHERAH_KMS_MODE$/],
    [{ ...identity, metastore: 'memory' }, {}, /--region-map.*|--kms-key-id.*; type --/],
    [{ ...memoryFlags, expireAfter: '0' }, {}, /^--expire-after .*; type --expire-after/],
    [
      { ...memoryFlags, expireAfter: '90 days' },
      {},
      /^--expire-after must be a duration such as 90s or 1h30m/,
    ],
    [memoryFlags, { ASHERAH_CHECK_INTERVAL: 'often' }, /^ASHERAH_CHECK_INTERVAL must be a duration/],
    [{ ...memoryFlags, socketMode: 'rw' }, {}, /^--socket-mode must be three octal digits, such as 660$/],
    [{ ...memoryFlags, socketOwner: 'nobody-of-that-name' }, {}, /^--socket-owner .*1000:1000$/],
    [{ ...memoryFlags, tcpAddress: '0.0.0.0:50051' }, {}, /needs mutual TLS; type --tls-cert FILE/],
    [{ ...memoryFlags, tcpAddress: '127.0.0.1.example.com:1' }, {}, /needs mutual TLS/],
    [
      { ...memoryFlags, tcpAddress: '0.0.0.0:1', tlsCert: 'a', tlsKey: 'b' },
      {},
      /^--tls-client-ca is missing/,
    ],
    [{ ...memoryFlags, tlsCert: 'a', tlsKey: 'b', tlsClientCa: 'c' }, {}, /type --tcp-address HOST:PORT$/],
    [{ ...memoryFlags, tcpAddress: '50051' }, {}, /^--tcp-address must be HOST:PORT/],
    [{ ...memoryFlags, workers: '0' }, {}, /^--workers is too small; type 1 or more$/],
    [{ ...memoryFlags, workers: '2' }, {}, /^--workers cannot share a metastore in memory; type --workers 1/],
    [{ ...memoryFlags, maxBytesInFlight: '1MiB' }, {}, /^--max-bytes-in-flight is too small/],
    [{ ...memoryFlags, staticKeyFile: '/nowhere' }, {}, /^--static-key-file cannot be read \(ENOENT\)/],
    [{ ...memoryFlags, config: '/nowhere' }, {}, /^--config cannot be read \(ENOENT\)/],
    [{ ...memoryFlags, regionMap: 'us-west-2' }, {}, /^--region-map must be REGION=ARN/],
  ]
  for (const [flags, environment, message] of table) {
    test(String(message), () => {
      const told = problems(flags, environment)
      assert.ok(
        told.some((one) => message.test(one)),
        told.join('\n'),
      )
    })
  }

  test('and without the secret in it', () => {
    const secret = 'hunter2-hunter2'
    const flags = { ...identity, metastore: 'rdbms', kms: 'static', conn: `nonsense ${secret}` }
    assert.ok(!problems(flags, { ASHERAH_STATIC_MASTER_KEY_HEX: secret }).join().includes(secret))
    const { notices } = read({ ...flags, conn: `u:${secret}@tcp(db)/k` }, { STATIC_MASTER_KEY_HEX: key })
    assert.match(notices.join(), /--conn shows in the list of processes/)
    assert.ok(!notices.join().includes(secret))
  })
})

test('commander’s name of a flag is the one that is read', () => {
  assert.equal(attributeName('-s, --socket-file <path>'), 'socketFile')
  assert.equal(attributeName('--dynamodb-table-name <name>'), 'dynamodbTableName')
})

function pick(resolved: ReturnType<typeof config>): unknown[] {
  return [resolved.serviceName, resolved.productId, resolved.policy.expireAfterSeconds]
}
