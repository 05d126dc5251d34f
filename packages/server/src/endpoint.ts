import type { Socket } from 'node:net'
import { SessionFactory } from 'asherah'
import { GrpcServer, type TakeConnection } from './grpc/grpc-server.ts'
import { RenewedTls } from './renewed-tls.ts'
import type { Log } from './server-log.ts'
import { Health } from './services/health.ts'
import { reflectionRoutes } from './services/reflection.ts'
import { sessionMethod } from './session/session-messages.ts'
import { sessionCalls } from './session/session-stream.ts'
import type { LibrarySettings } from './settings/library-settings.ts'
import type { ServeSettings, TlsFiles } from './settings/serve-settings.ts'

/** Which listener a connection came from. */
export type Entrance = 'socket' | 'tcp' | 'health'

/** Everything behind the listeners, in one process: the factory and the services. */
export class Endpoint {
  readonly #factory: SessionFactory
  readonly #grpc: GrpcServer
  readonly #health = new Health(['asherah.apps.server.AppEncryption'])
  readonly #tls: RenewedTls | undefined
  readonly #take: Readonly<Record<Entrance, TakeConnection>>

  private constructor(factory: SessionFactory, settings: EndpointSettings, log: Log) {
    const fault = (error: unknown): void => log.fault(error)
    this.#factory = factory
    this.#grpc = new GrpcServer(settings.limits, fault)
    const routes = new Map([
      [sessionMethod, sessionCalls(factory, fault)],
      ...this.#health.routes,
      ...reflectionRoutes(),
    ])
    const plain = this.#grpc.plain(routes)
    this.#tls =
      settings.tls && new RenewedTls(settings.tls, (identity) => this.#grpc.secure(routes, identity), log)
    this.#take = {
      socket: plain,
      tcp: this.#tls === undefined ? plain : (socket) => this.#tls?.take(socket),
      health: this.#grpc.plain(this.#health.routes),
    }
  }

  /**
   * Opens the metastore and the KMS.
   *
   * @throws AsherahError what the library says of its configuration; ServerError `ERR_LISTEN` for a bad certificate.
   */
  static async open(settings: EndpointSettings, log: Log): Promise<Endpoint> {
    const factory = new SessionFactory(settings.library.resolve())
    try {
      await factory.opened()
      return new Endpoint(factory, settings, log)
    } catch (error) {
      await factory.closeAsync()
      throw error
    }
  }

  take(entrance: Entrance, socket: Socket): void {
    this.#take[entrance](socket)
  }

  /** Lets the streams finish for as long as `limitMs`, and closes the factory. */
  async close(limitMs: number): Promise<void> {
    this.#tls?.close()
    this.#health.stopServing()
    await this.#grpc.drain(limitMs)
    await this.#factory.closeAsync()
  }
}

/** What a process that serves needs to know. */
export interface EndpointSettings extends Pick<ServeSettings, 'limits'> {
  readonly library: LibrarySettings
  readonly tls: TlsFiles | undefined
}
