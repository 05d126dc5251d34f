import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AsherahSession, SessionFactory } from 'asherah'
import { createCertificates } from '../tests/support/servers/certificates.ts'
import { PostgresServer } from '../tests/support/servers/postgres.ts'
import { createPostgresDatabase } from '../tests/support/servers/postgres-database.ts'
import { configuration } from './configuration.ts'
import type { Figures, Measurand } from './figure.ts'
import type { Plan } from './plan.ts'

/** Partitions whose keys are in the database and in no process's memory. */
const partitions = 10_000
const connections = 10
const rounds = 3

const common = { group: 'postgres', unit: 'ns' } as const
const oneByOne: Measurand = { ...common, name: 'cold partition on PostgreSQL, one awaited after the other' }
/** Asked for together they share queries: the bar is a fifth of the time. */
const comparison = { against: oneByOne.name, by: 'ratio', most: 0.2 } as const
const atOnce: Measurand = {
  ...common,
  name: 'cold partition on PostgreSQL, 10,000 asked for at once',
  comparison,
}
const warmed: Measurand = { ...common, name: 'cold partition on PostgreSQL, warm() of 10,000', comparison }
const bridged: Measurand = {
  ...common,
  name: 'cold partition on PostgreSQL, synchronous over the bridge',
  comparison: { against: oneByOne.name, by: 'ratio' },
}

/**
 * What a partition costs whose key must be fetched from a PostgreSQL server on this machine: nanoseconds a partition, the
 * first record sealed included. Every round starts with factories that hold nothing.
 */
export async function measureColdPostgres(plan: Plan, figures: Figures): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-bench-'))
  try {
    const certificates = await createCertificates(folder)
    const server = await PostgresServer.start({ certificates })
    try {
      const database = await createPostgresDatabase(server.address, { keyRecord: 'JSONB' })
      await measure(database.url(), plan.quick ? 1 : rounds, figures)
    } finally {
      await server.remove()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure(connectionString: string, times: number, figures: Figures): Promise<void> {
  const config = {
    ...configuration(),
    metastore: 'rdbms',
    connectionString,
    poolMaxOpen: connections,
    poolMaxIdle: connections,
  } as const
  const ids = Array.from({ length: partitions }, (_, index) => `tenant-${index}`)
  await withFactory(config, (factory) => factory.warm(ids))
  const timed = async (measurand: Measurand, calls: (factory: SessionFactory) => Promise<number>) => {
    await withFactory(config, async (factory) => {
      // The connections and the system key are not the partitions' cost.
      await encrypt(factory, 'first')
      const start = process.hrtime.bigint()
      const count = await calls(factory)
      figures.add(measurand, Number(process.hrtime.bigint() - start) / count)
    })
  }
  for (let round = 0; round < times; round++) {
    await timed(oneByOne, async (factory) => {
      for (const id of ids) await encrypt(factory, id)
      return ids.length
    })
    await timed(atOnce, async (factory) => {
      await Promise.all(ids.map((id) => encrypt(factory, id)))
      return ids.length
    })
    await timed(warmed, async (factory) => {
      await factory.warm(ids)
      for (const id of ids) session(factory, id).encryptString('x')
      return ids.length
    })
    await timed(bridged, async (factory) => {
      // The bridge's thread starts, and opens a connection of its own.
      session(factory, 'first over the bridge').encryptString('x')
      const some = ids.slice(0, 1_000)
      for (const id of some) session(factory, id).encryptString('x')
      return some.length
    })
  }
}

async function withFactory(
  config: ConstructorParameters<typeof SessionFactory>[0],
  use: (factory: SessionFactory) => Promise<void>,
): Promise<void> {
  const factory = new SessionFactory(config)
  try {
    await use(factory)
  } finally {
    await factory.closeAsync()
  }
}

function session(factory: SessionFactory, id: string): AsherahSession {
  return factory.getSession(id)
}

function encrypt(factory: SessionFactory, id: string): Promise<string> {
  return session(factory, id).encryptStringAsync('x')
}
