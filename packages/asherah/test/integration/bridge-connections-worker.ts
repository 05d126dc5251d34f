import { parentPort, workerData } from 'node:worker_threads'
import type { AsherahConfig } from '../../src/config/asherah-config.ts'
import { SessionFactory } from '../../src/session-factory.ts'

/** What one thread is asked to do. */
export interface CallsOfThread {
  readonly config: AsherahConfig
  /** Partitions that nobody has a key for yet. */
  readonly partitions: readonly string[]
  readonly how: 'synchronous' | 'asynchronous'
}

const { config, partitions, how } = workerData as CallsOfThread
await using factory = new SessionFactory(config)
const asked = new Promise((resolve) => parentPort?.once('message', resolve))
for (const partition of partitions) {
  const session = factory.getSession(partition)
  const record =
    how === 'synchronous' ? session.encryptString(partition) : await session.encryptStringAsync(partition)
  if (session.decryptString(record) !== partition) throw new Error('what came back is not what was sealed')
}
parentPort?.postMessage('done')
// Its connections are counted meanwhile.
await asked
