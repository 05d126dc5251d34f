import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { createDynamoDbTable, DynamoDbServer } from '../../support/servers/dynamodb.ts'
import { FaultProxy } from '../../support/servers/fault-proxy.ts'
import { MariaDbServer, queryMariaDb } from '../../support/servers/mariadb.ts'
import { createMariaDbDatabase, type MariaDbDatabase } from '../../support/servers/mariadb-database.ts'
import { createKmsKey, createSecret, MotoServer } from '../../support/servers/moto.ts'
import { PostgresServer, queryPostgres, waitForReplay } from '../../support/servers/postgres.ts'
import { createPostgresDatabase } from '../../support/servers/postgres-database.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { TlsFront } from '../../support/servers/tls-front.ts'
import { VaultServer } from '../../support/servers/vault.ts'
import {
  type BackendFault,
  crowd,
  type FaultyBackend,
  networkFaults,
  onNewConnections,
} from './faulty-backend.ts'

const { certificates } = testServers()
const host = '127.0.0.1'
const region = 'us-west-2'
const staticKms = { kms: 'static', staticMasterKeyHex: '5c'.repeat(32) } as const
const awsEnvironment = {
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
  AWS_REGION: region,
  NODE_EXTRA_CA_CERTS: certificates.authority,
}

export const backends: Readonly<Record<string, () => Promise<FaultyBackend>>> = {
  PostgreSQL: postgres,
  MariaDB: mariaDb,
  DynamoDB: dynamoDb,
  'AWS KMS': awsKms,
  'Secrets Manager': secretsManager,
  Vault: vault,
}

function sqlMetastore(proxy: FaultProxy, connectionString: string) {
  const poolMaxOpen = 4
  return {
    kind: 'metastore',
    config: { ...staticKms, metastore: 'rdbms', connectionString, poolMaxOpen },
    env: {},
    proxy,
    idleConnections: poolMaxOpen,
  } as const
}

async function postgres(): Promise<FaultyBackend> {
  const primary = await PostgresServer.start({ certificates })
  const database = await createPostgresDatabase(primary.address)
  const proxy = await FaultProxy.start(primary.address)
  const { user } = primary.address.limited
  const allow = (connections: number) => () =>
    queryPostgres(primary.address, `ALTER ROLE ${user} CONNECTION LIMIT ${connections}`)
  let replica: PostgresServer | undefined
  const parameters = { sslmode: 'verify-full', sslrootcert: certificates.authority }
  return {
    ...sqlMetastore(proxy, database.url({ port: proxy.port, parameters })),
    faults: {
      ...networkFaults(proxy),
      'a crowd of calls': crowd(proxy),
      'a server without a connection left': onNewConnections(proxy, {
        begin: async () => void (await allow(0)()),
        end: async () => void (await allow(-1)()),
      }),
      'a server that is killed and started': {
        cold: 'fails',
        begin: () => primary.kill(),
        end: () => primary.restart(),
      },
      'a certificate that expires and is renewed': onNewConnections(proxy, {
        begin: () => primary.showCertificate('expired'),
        end: () => primary.showCertificate('server'),
      }),
      'a failover to a replica that takes no writes at first': {
        cold: 'either',
        begin: async () => {
          replica = await PostgresServer.startReplica(primary.address, { certificates })
          await waitForReplay(primary.address, replica.address)
          await failOver(proxy, replica.address.port, () => primary.kill())
        },
        end: () => replica?.promote(),
      },
    },
    remove: async () => {
      await proxy.close()
      await Promise.all([primary.remove(), replica?.remove()])
    },
  }
}

async function mariaDb(): Promise<FaultyBackend> {
  const first = await MariaDbServer.start({ certificates })
  const database = await createMariaDbDatabase(first.address)
  const proxy = await FaultProxy.start(first.address)
  const { limited } = first.address
  const perUser = (connections: number) =>
    queryMariaDb(first.address, `ALTER USER ${limited.user}@'%' WITH MAX_USER_CONNECTIONS ${connections}`)
  let second: MariaDbServer | undefined
  let holder: { end(): Promise<void> } | undefined
  const parameters = { tls: 'true', 'ssl-ca': certificates.authority }
  return {
    ...sqlMetastore(proxy, database.url({ port: proxy.port, parameters })),
    faults: {
      ...networkFaults(proxy),
      'a crowd of calls': crowd(proxy),
      'a server without a connection left': onNewConnections(proxy, {
        begin: async () => {
          // 0 would mean no limit: the one that is allowed is taken.
          await perUser(1)
          proxy.resetAll()
          holder = await connectOnceFree({ host, port: first.address.port, ...limited })
        },
        end: async () => {
          await holder?.end()
          await perUser(0)
        },
      }),
      'a server that is killed and started': {
        cold: 'fails',
        begin: () => first.kill(),
        end: () => first.restart(),
      },
      'a certificate that expires and is renewed': onNewConnections(proxy, {
        begin: () => first.showCertificate('expired'),
        end: () => first.showCertificate('server'),
      }),
      'a failover to a server that takes no writes at first': {
        cold: 'either',
        begin: async () => {
          second = await MariaDbServer.start({ certificates })
          await copyDatabase(database, second)
          await queryMariaDb(second.address, 'SET GLOBAL read_only = 1')
          await failOver(proxy, second.address.port, () => first.kill())
        },
        end: async () => {
          if (second !== undefined) await queryMariaDb(second.address, 'SET GLOBAL read_only = 0')
        },
      },
    },
    remove: async () => {
      await proxy.close()
      await Promise.all([first.remove(), second?.remove()])
    },
  }
}

/** The connection that an account may still have, once the server has noticed the end of the others. */
async function connectOnceFree(place: {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
}): Promise<{ end(): Promise<void> }> {
  const end = performance.now() + 5_000
  for (;;) {
    try {
      return await createConnection({ ...place })
    } catch (error) {
      if (performance.now() > end) throw error
    }
  }
}

async function copyDatabase(from: MariaDbDatabase, to: MariaDbServer): Promise<void> {
  const rows = await from.query(
    `SELECT concat_ws(',', quote(id), quote(created), quote(key_record)) FROM encryption_key`,
  )
  const table = `${from.name}.encryption_key`
  const definition = await from.query('SHOW CREATE TABLE encryption_key')
  await queryMariaDb(
    to.address,
    [
      `CREATE DATABASE ${from.name}`,
      `USE ${from.name}`,
      definition.slice(definition.indexOf('\t') + 1),
      `INSERT INTO ${table} VALUES ${rows
        .split('\n')
        .map((row) => `(${row})`)
        .join(',')}`,
      `GRANT SELECT, INSERT ON ${table} TO ${to.address.limited.user}@'%'`,
      `GRANT CREATE TEMPORARY TABLES ON ${from.name}.* TO ${to.address.limited.user}@'%'`,
    ].join(';\n'),
  )
}

async function dynamoDb(): Promise<FaultyBackend> {
  const first = await DynamoDbServer.start()
  const table = await createDynamoDbTable(first.endpoint, { region })
  const { front, proxy, fault } = await tlsFronted(first.endpoint)
  let second: DynamoDbServer | undefined
  let secondFront: TlsFront | undefined
  let items: Awaited<ReturnType<typeof table.items>> = []
  return {
    kind: 'metastore',
    config: {
      ...staticKms,
      metastore: 'dynamodb',
      dynamoDbEndpoint: `https://${host}:${proxy.port}`,
      dynamoDbRegion: region,
      dynamoDbTableName: table.name,
    },
    env: awsEnvironment,
    proxy,
    // The agent of a client has 50 sockets; here and in the bridge's thread.
    idleConnections: 100,
    faults: {
      ...networkFaults(proxy),
      'a crowd of calls': crowd(proxy),
      'a server that is killed and started': {
        cold: 'fails',
        begin: () => first.kill(),
        end: () => first.restart(),
      },
      'a certificate that expires and is renewed': fault,
      'a failover to a server whose table is not there at first': {
        cold: 'fails',
        begin: async () => {
          items = await table.items()
          second = await DynamoDbServer.start()
          secondFront = await TlsFront.start(portOf(second.endpoint), certificates.server)
          await failOver(proxy, secondFront.port, () => first.kill())
        },
        end: async () => {
          if (second === undefined) return
          const copy = await createDynamoDbTable(second.endpoint, { region, name: table.name })
          for (const item of items) await copy.put(item)
        },
      },
    },
    remove: async () => {
      await proxy.close()
      front.close()
      secondFront?.close()
      await Promise.all([first.remove(), second?.remove()])
    },
  }
}

async function awsKms(): Promise<FaultyBackend> {
  return moto('AWS_ENDPOINT_URL_KMS', async (endpoint) => ({
    kms: 'aws',
    regionMap: { [region]: await createKmsKey(endpoint, region) },
    preferredRegion: region,
  }))
}

async function secretsManager(): Promise<FaultyBackend> {
  return moto('AWS_ENDPOINT_URL_SECRETS_MANAGER', async (endpoint) => ({
    kms: 'secrets-manager',
    secretsManagerSecretId: await createSecret(endpoint, region, randomBytes(32)),
  }))
}

async function moto(
  endpointVariable: string,
  configure: (endpoint: string) => Promise<Partial<FaultyBackend['config']> & { kms: string }>,
): Promise<FaultyBackend> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-faults-'))
  const kept = join(folder, 'kept')
  const first = await MotoServer.start(kept)
  const kms = await configure(first.endpoint)
  const { front, proxy, fault } = await tlsFronted(first.endpoint)
  let second: MotoServer | undefined
  let secondFront: TlsFront | undefined
  return {
    kind: 'kms',
    config: { ...kms, metastore: 'sqlite', connectionString: join(folder, 'keys.db') },
    env: { ...awsEnvironment, [endpointVariable]: `https://${host}:${proxy.port}` },
    proxy,
    idleConnections: 100,
    faults: {
      ...networkFaults(proxy),
      'a server that is stopped and started': {
        cold: 'fails',
        begin: () => first.stop(),
        end: () => first.restart(),
      },
      'a certificate that expires and is renewed': fault,
      'a failover to a server that is not up at first': {
        cold: 'fails',
        begin: async () => {
          await first.stop()
          second = await MotoServer.start(kept)
          secondFront = await TlsFront.start(portOf(second.endpoint), certificates.server)
          await failOver(proxy, secondFront.port, () => second?.stop())
        },
        end: () => second?.restart(),
      },
    },
    remove: async () => {
      await proxy.close()
      front.close()
      secondFront?.close()
      await Promise.all([first.remove(), second?.remove()])
      rmSync(folder, { recursive: true })
    },
  }
}

async function vault(): Promise<FaultyBackend> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-faults-'))
  const active = await VaultServer.start()
  active.transit().create('asherah')
  const standby = await VaultServer.start()
  const { front, proxy, fault } = await tlsFronted(active.address)
  const standbyFront = await TlsFront.start(standby.port, certificates.server)
  return {
    kind: 'kms',
    config: {
      kms: 'vault',
      vaultAddr: `https://${host}:${proxy.port}`,
      vaultCaCert: certificates.authority,
      vaultTransitKey: 'asherah',
      vaultToken: active.rootToken,
      metastore: 'sqlite',
      connectionString: join(folder, 'keys.db'),
    },
    env: {},
    proxy,
    idleConnections: 100,
    faults: {
      ...networkFaults(proxy),
      'a server that is closed and listens again': {
        cold: 'fails',
        begin: () => active.close(),
        end: () => active.listen(),
      },
      'a quota of requests that is used up': {
        cold: 'fails',
        begin: () =>
          active.set({ kind: 'answer', status: 429, body: '{"errors":["request path: quota exceeded"]}' }),
        end: () => active.set({ kind: 'healthy' }),
      },
      'a seal': {
        cold: 'fails',
        begin: () => active.set({ kind: 'sealed' }),
        end: () => active.set({ kind: 'healthy' }),
      },
      'a certificate that expires and is renewed': fault,
      'a failover to a standby that knows no active node at first': {
        cold: 'fails',
        begin: async () => {
          standby.set({ kind: 'sealed' })
          await failOver(proxy, standbyFront.port, () => undefined)
        },
        end: () => standby.set({ kind: 'standby', location: `https://${host}:${front.port}` }),
      },
    },
    remove: async () => {
      await proxy.close()
      front.close()
      standbyFront.close()
      await Promise.all([active.close(), standby.close()])
      rmSync(folder, { recursive: true })
    },
  }
}

/** A proxy in front of TLS in front of an HTTP server, and the fault of that TLS. */
async function tlsFronted(endpoint: string): Promise<{
  readonly front: TlsFront
  readonly proxy: FaultProxy
  readonly fault: BackendFault
}> {
  const front = await TlsFront.start(portOf(endpoint), certificates.server)
  const proxy = await FaultProxy.start({ host, port: front.port })
  const fault = onNewConnections(proxy, {
    begin: () => front.showCertificate(certificates.expired),
    end: () => front.showCertificate(certificates.server),
  })
  return { front, proxy, fault }
}

/** New connections lead to another server, and the open ones end with the old one. */
async function failOver(
  proxy: FaultProxy,
  port: number,
  end: () => Promise<void> | undefined,
): Promise<void> {
  proxy.retarget({ host, port })
  proxy.resetAll()
  await end()
}

function portOf(endpoint: string): number {
  return Number(new URL(endpoint).port)
}
