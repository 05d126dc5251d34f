import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCertificates } from '../tests/support/servers/certificates.ts'
import { PostgresServer, postgresIsInstalled } from '../tests/support/servers/postgres.ts'
import { createPostgresDatabase } from '../tests/support/servers/postgres-database.ts'
import { measureColdStore } from './cold-store.ts'
import { configuration } from './configuration.ts'
import type { Figures } from './figure.ts'
import type { Plan } from './plan.ts'

const connections = 10

/** Partitions whose keys are in a PostgreSQL server on this machine; answers why not, where there is none. */
export async function measureColdPostgres(plan: Plan, figures: Figures): Promise<string | undefined> {
  if (!postgresIsInstalled()) return 'PostgreSQL is not installed'
  const folder = mkdtempSync(join(tmpdir(), 'asherah-bench-'))
  try {
    const server = await PostgresServer.start({ certificates: await createCertificates(folder) })
    try {
      const database = await createPostgresDatabase(server.address, { keyRecord: 'JSONB' })
      const config = {
        ...configuration(),
        metastore: 'rdbms',
        connectionString: database.url(),
        poolMaxOpen: connections,
        poolMaxIdle: connections,
      } as const
      const sizes = { partitions: 10_000, overBridge: 1_000, rounds: plan.quick ? 1 : 5 }
      await measureColdStore({ group: 'postgres', name: 'PostgreSQL', config, ...sizes }, figures)
    } finally {
      await server.remove()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return undefined
}
