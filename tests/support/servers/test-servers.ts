import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Certificates, createCertificates } from './certificates.ts'
import { DynamoDbServer } from './dynamodb.ts'
import { type MariaDbAddress, MariaDbServer } from './mariadb.ts'
import { MotoServer } from './moto.ts'
import { type PostgresAddress, PostgresServer } from './postgres.ts'
import { serversVariable } from './server-folder.ts'

/** Where the servers are that every test file shares. A test that stops or breaks a server starts one of its own. */
export interface TestServers {
  readonly certificates: Certificates
  readonly postgres: PostgresAddress
  /** Follows `postgres`; see `pauseReplay`. One test file at a time may pause it: the replica's own. */
  readonly postgresReplica: PostgresAddress
  readonly mariadb: MariaDbAddress
  readonly dynamodb: { readonly endpoint: string }
  /** KMS and Secrets Manager of every region. */
  readonly moto: { readonly endpoint: string }
}

/** The servers of this run. Fails where there are none: tests of real things are never left out. */
export function testServers(): TestServers {
  const file = process.env[serversVariable]
  if (file === undefined || file === '') {
    throw new Error(`${serversVariable} is not set: run these tests with \`npm run test:integration\``)
  }
  return JSON.parse(readFileSync(file, 'utf8')) as TestServers
}

export interface RunningServers {
  readonly addresses: TestServers
  /** Ends all of them. */
  stop(): Promise<void>
}

interface Removable {
  remove(): Promise<void>
}

/**
 * Starts all servers side by side and writes their addresses to `file`, in whose folder everything is kept that is not a
 * server's own. When one fails, the others are ended again.
 */
export async function startTestServers(file: string): Promise<RunningServers> {
  const started: Removable[] = []
  const keep = async <T extends Removable>(starting: Promise<T>): Promise<T> => {
    const server = await starting
    started.push(server)
    return server
  }
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.remove()))
  }
  try {
    const certificates = await createCertificates(join(dirname(file), 'certificates'))
    const starting = [
      startPostgresPair(certificates, keep),
      keep(MariaDbServer.start({ certificates })),
      keep(DynamoDbServer.start()),
      keep(MotoServer.start()),
    ] as const
    // Whatever is still on its way up when another fails must be waited for, so that it is ended too.
    await Promise.allSettled(starting)
    const [[primary, replica], mariadb, dynamodb, moto] = await Promise.all(starting)
    const addresses: TestServers = {
      certificates,
      postgres: primary.address,
      postgresReplica: replica.address,
      mariadb: mariadb.address,
      dynamodb: { endpoint: dynamodb.endpoint },
      moto: { endpoint: moto.endpoint },
    }
    writeFileSync(file, JSON.stringify(addresses))
    return { addresses, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startPostgresPair(
  certificates: Certificates,
  keep: <T extends Removable>(starting: Promise<T>) => Promise<T>,
): Promise<readonly [PostgresServer, PostgresServer]> {
  const primary = await keep(PostgresServer.start({ certificates }))
  const replica = await keep(PostgresServer.startReplica(primary.address, { certificates }))
  return [primary, replica]
}
