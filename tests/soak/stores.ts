import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AsherahConfig } from '../../packages/asherah/src/index.ts'
import type { SeededRandom } from '../support/seeded-random.ts'
import { createCertificates } from '../support/servers/certificates.ts'
import { type Direction, type Fault, FaultProxy } from '../support/servers/fault-proxy.ts'
import { PostgresServer } from '../support/servers/postgres.ts'
import { createPostgresDatabase } from '../support/servers/postgres-database.ts'

/** Where the soaked process keeps its keys, and what can go wrong on the way there. */
export interface SoakStore {
  readonly config: Pick<AsherahConfig, 'metastore'> & Partial<AsherahConfig>
  /** Makes one fault and ends it again; returns its name. Absent: nothing can be at fault. */
  readonly fault?: (random: SeededRandom) => Promise<string>
  /** Generations of the system key. */
  systemKeys(): Promise<number>
  remove(): Promise<void>
}

/** PostgreSQL behind a fault proxy. */
export async function postgresStore(folder: string): Promise<SoakStore> {
  const server = await PostgresServer.start({ certificates: await createCertificates(join(folder, 'tls')) })
  const database = await createPostgresDatabase(server.address)
  const proxy = await FaultProxy.start(server.address)
  return {
    config: { metastore: 'rdbms', connectionString: database.url({ port: proxy.port }), poolMaxOpen: 8 },
    fault: (random) => makeFault(proxy, server, random),
    systemKeys: async () =>
      Number(await database.query(`SELECT count(*) FROM encryption_key WHERE id LIKE '\\_SK\\_%'`)),
    remove: async () => {
      await proxy.close()
      await server.remove()
    },
  }
}

/** A SQLite file. */
export async function sqliteStore(folder: string): Promise<SoakStore> {
  const path = join(folder, 'keys.db')
  return {
    config: { metastore: 'sqlite', connectionString: path },
    systemKeys: async () => {
      using database = new DatabaseSync(path, { readOnly: true })
      const row = database
        .prepare(`SELECT count(*) AS n FROM encryption_key WHERE id LIKE '\\_SK\\_%' ESCAPE '\\'`)
        .get()
      return Number(row?.['n'])
    },
    remove: async () => undefined,
  }
}

async function makeFault(proxy: FaultProxy, server: PostgresServer, random: SeededRandom): Promise<string> {
  const direction = random.pick<Direction>(['to-server', 'to-client'])
  const afterBytes = random.between(0, 2_000)
  const lastsMs = random.between(100, 600)
  const faults: readonly [Fault, ...Fault[]] = [
    { kind: 'reset' },
    { kind: 'black-hole' },
    { kind: 'delay', ms: 40, jitterMs: 80 },
    { kind: 'throttle', bytesPerSecond: 5_000 },
    { kind: 'cut', direction, afterBytes },
    { kind: 'truncate', direction, afterBytes },
  ]
  const choice = random.next()
  if (choice < 0.05) {
    await server.kill()
    await sleep(lastsMs)
    await server.restart()
    return 'killed server'
  }
  if (choice < 0.2) {
    const refusing = proxy.refuse()
    proxy.resetAll()
    await refusing
    await sleep(lastsMs)
    await proxy.accept()
    return 'refusal'
  }
  const fault = random.pick(faults)
  proxy.set(fault)
  await sleep(lastsMs)
  proxy.set({ kind: 'pass' })
  return fault.kind
}
