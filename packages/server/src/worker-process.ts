import type { Socket } from 'node:net'
import { AsherahError } from 'asherah'
import { Endpoint } from './endpoint.ts'
import { ServerError } from './errors.ts'
import { joinLibraryLog, Log, type ServerLog } from './server-log.ts'
import { LibrarySettings } from './settings/library-settings.ts'
import type { FromWorker, ToWorker } from './workers/worker-messages.ts'

/** How long a worker that lost the process above it lets its streams finish. */
const orphanDrainMs = 5000

const tell = (message: FromWorker): void => {
  if (process.connected) process.send?.(message)
}
const write: ServerLog = (event) => tell({ kind: 'log', event })

let endpoint: Endpoint | undefined
let ending = false

process.on('message', (message: ToWorker, socket?: Socket) => {
  switch (message.kind) {
    case 'start':
      void start(message)
      break
    case 'connection':
      // A client that has hung up meanwhile leaves nothing to take.
      if (socket !== undefined) endpoint?.take(message.entrance, socket)
      tell({ kind: 'taken', id: message.id })
      break
    case 'drain':
      void end(message.limitMs)
      break
  }
})
process.on('disconnect', () => void end(orphanDrainMs))
// A terminal sends its signals to the whole group: the process above decides when to end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined)

async function start({ limits, tls, library }: Extract<ToWorker, { kind: 'start' }>): Promise<void> {
  joinLibraryLog(write)
  try {
    endpoint = await Endpoint.open(
      { limits, tls, library: LibrarySettings.fromMessage(library) },
      new Log(write),
    )
    tell({ kind: 'ready' })
  } catch (error) {
    // The texts of these hold no secret; those of others may.
    const known = error instanceof AsherahError || error instanceof ServerError
    tell({ kind: 'failed', message: known ? `${error.message} (${error.code})` : 'internal error' })
    process.disconnect()
  }
}

async function end(limitMs: number): Promise<void> {
  if (ending) return
  ending = true
  try {
    await endpoint?.close(limitMs)
  } finally {
    process.exit(0)
  }
}
