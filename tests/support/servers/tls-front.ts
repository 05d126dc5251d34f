import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { createServer, type Server } from 'node:tls'
import type { CertificatePair } from './certificates.ts'

/** TLS in front of a server that has none, on a free port of 127.0.0.1. */
export class TlsFront {
  readonly #server: Server
  readonly #port: number
  readonly #sockets: ReadonlySet<Socket>

  private constructor(server: Server, port: number, sockets: ReadonlySet<Socket>) {
    this.#server = server
    this.#port = port
    this.#sockets = sockets
  }

  /** Leads to `port` of 127.0.0.1, whether or not something listens there. */
  static async start(port: number, certificate: CertificatePair): Promise<TlsFront> {
    const sockets = new Set<Socket>()
    const keep = (socket: Socket): void => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
    }
    const server = createServer(secrets(certificate), (client) => {
      const behind = connect(port, '127.0.0.1')
      keep(behind)
      const ended = (): void => undefined
      // How one side ended, in order or not, is how the other is ended.
      pipeline(client, behind, ended)
      pipeline(behind, client, ended)
    })
    // Of those too that never finish their handshake.
    server.on('connection', keep)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the listener has no port')
    return new TlsFront(server, address.port, sockets)
  }

  get port(): number {
    return this.#port
  }

  /** Shows another certificate to the connections that are opened from now on. */
  showCertificate(certificate: CertificatePair): void {
    this.#server.setSecureContext(secrets(certificate))
  }

  /** Ends every connection and the listener. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }
}

function secrets(pair: CertificatePair): { readonly cert: Buffer; readonly key: Buffer } {
  return { cert: readFileSync(pair.certificate), key: readFileSync(pair.key) }
}
