import { Endpoint } from './endpoint.ts'
import { Listeners, type SidecarAddress } from './listeners.ts'
import { joinLibraryLog, Log, logTo, type ServerLog } from './server-log.ts'
import type { ServeSettings } from './settings/serve-settings.ts'
import type { WorkerPool } from './workers/worker-pool.ts'

/** A sidecar that serves. */
export interface Sidecar {
  readonly address: SidecarAddress
  /**
   * Takes no further connection or stream, lets those that are under way finish within the drain timeout, and closes the
   * library. Calling it again waits for the same end.
   */
  close(): Promise<void>
}

export interface ServeOptions {
  /** Where events go, the library's own among them; by default one line each on standard error. */
  readonly log?: ServerLog
}

/**
 * Starts the sidecar. It resolves when clients can connect.
 *
 * @throws ServerError `ERR_SOCKET_IN_USE`, `ERR_SOCKET_OCCUPIED`, `ERR_SOCKET_PATH`, `ERR_LISTEN`, `ERR_WORKER`
 * @throws AsherahError what the library says when its backends cannot be opened
 *
 * @example
 * ```ts
 * const sidecar = await serve(readServeSettings({}, process.env))
 * process.once('SIGTERM', () => void sidecar.close())
 * ```
 */
export async function serve(settings: ServeSettings, options: ServeOptions = {}): Promise<Sidecar> {
  const write = options.log ?? logTo(process.stderr)
  const log = new Log(write)
  for (const notice of settings.notices) log.warn(notice)
  const behind =
    settings.workers > 1 ? await inWorkers(settings, write) : await inThisProcess(settings, write)
  let listeners: Listeners
  try {
    listeners = await Listeners.open(settings, settings.workers > 1, (entrance, socket) => {
      behind.take(entrance, socket)
    })
  } catch (error) {
    await behind.close(0)
    throw error
  }
  const { address } = listeners
  const places = [address.socket, address.tcp, address.health && `${address.health} (health only)`]
  log.info(`serving on ${places.filter((place) => place !== undefined).join(', ')}`)
  let closing: Promise<void> | undefined
  return Object.freeze({
    address,
    close: () => {
      closing ??= (async () => {
        log.info(`shutting down, in ${settings.drainTimeoutMs} ms at the latest`)
        listeners.close()
        await behind.close(settings.drainTimeoutMs)
        log.info('stopped')
      })()
      return closing
    },
  })
}

async function inThisProcess(settings: ServeSettings, write: ServerLog): Promise<Endpoint> {
  joinLibraryLog(write)
  return Endpoint.open({ ...settings, tls: settings.tcp?.tls }, new Log(write))
}

/** Loaded where it is wanted only: what starts processes takes megabytes. */
async function inWorkers(settings: ServeSettings, write: ServerLog): Promise<WorkerPool> {
  const { WorkerPool: pool } = await import('./workers/worker-pool.ts')
  return pool.start(settings, write)
}
