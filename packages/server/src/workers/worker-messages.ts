import type { LogEvent } from 'asherah'
import type { ConfigLayers } from 'asherah/admin'
import type { Entrance } from '../endpoint.ts'
import type { GrpcLimits } from '../grpc/grpc-server.ts'
import type { TlsFiles } from '../settings/serve-settings.ts'

/** What the process that listens tells a worker. A connection's socket goes beside its message. */
export type ToWorker =
  | {
      readonly kind: 'start'
      readonly limits: GrpcLimits
      readonly tls: TlsFiles | undefined
      /** Holds secrets: the channel is a pair of sockets that no other process has. */
      readonly library: ConfigLayers
    }
  | { readonly kind: 'connection'; readonly entrance: Entrance; readonly id: number }
  | { readonly kind: 'drain'; readonly limitMs: number }

/** What a worker answers. */
export type FromWorker =
  | { readonly kind: 'ready' }
  /** The connection with this id is the worker's now. */
  | { readonly kind: 'taken'; readonly id: number }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'log'; readonly event: LogEvent }
