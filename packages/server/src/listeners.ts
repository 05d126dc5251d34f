import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Entrance } from './endpoint.ts'
import { ServerError, systemCode } from './errors.ts'
import type { ServeSettings, TcpAddress } from './settings/serve-settings.ts'
import { SocketFile } from './socket/socket-file.ts'

/** Where a sidecar can be reached. */
export interface SidecarAddress {
  /** Path of the Unix socket. */
  readonly socket: string
  /** `host:port`, where there is one. */
  readonly tcp: string | undefined
  readonly health: string | undefined
}

/** Hears of each connection. */
export type OnConnection = (entrance: Entrance, socket: Socket) => void

/** The open listeners of a sidecar, in the process that owns its socket. */
export class Listeners {
  readonly address: SidecarAddress
  readonly #servers: readonly Server[]
  readonly #socketFile: SocketFile

  private constructor(address: SidecarAddress, servers: readonly Server[], socketFile: SocketFile) {
    this.address = address
    this.#servers = servers
    this.#socketFile = socketFile
  }

  /**
   * Listens everywhere or nowhere. With `paused`, connections are not read, so that another process can take them over.
   *
   * @throws ServerError
   */
  static async open(settings: ServeSettings, paused: boolean, connected: OnConnection): Promise<Listeners> {
    const servers: Server[] = []
    const server = (entrance: Entrance): Server => {
      const made = createServer({ pauseOnConnect: paused, noDelay: true }, (socket) =>
        connected(entrance, socket),
      )
      made.maxConnections = settings.limits.maxStreams * settings.workers
      servers.push(made)
      return made
    }
    try {
      // The socket last: whoever waits for its file to appear finds everything else ready.
      const tcp = settings.tcp && (await listenTcp(server('tcp'), settings.tcp, '--tcp-address'))
      const health =
        settings.health && (await listenTcp(server('health'), settings.health, '--health-address'))
      const socketFile = await SocketFile.listen(server('socket'), settings.socket)
      const address = Object.freeze({ socket: socketFile.path, tcp, health })
      return new Listeners(address, servers, socketFile)
    } catch (error) {
      for (const opened of servers) opened.close()
      throw error
    }
  }

  /** Takes no further connection, and removes the socket's file. Present connections go on. */
  close(): void {
    this.#socketFile.remove()
    for (const server of this.#servers) server.close()
  }
}

async function listenTcp(server: Server, { host, port }: TcpAddress, flag: string): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const refused = (error: unknown): void => {
      const message = `${flag} ${host}:${port} cannot be listened on (${systemCode(error)}); type another ${flag}`
      reject(new ServerError('ERR_LISTEN', message, { cause: error }))
    }
    server.once('error', refused)
    server.listen({ host, port }, () => {
      server.off('error', refused)
      resolve()
    })
  })
  const { address, port: bound, family } = server.address() as AddressInfo
  return family === 'IPv6' ? `[${address}]:${bound}` : `${address}:${bound}`
}
