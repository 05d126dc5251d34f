export { ServerError, type ServerErrorCode } from './errors.ts'
export type { GrpcLimits } from './grpc/grpc-server.ts'
export type { SidecarAddress } from './listeners.ts'
export { type ServeOptions, type Sidecar, serve } from './serve.ts'
export { logTo, type ServerLog } from './server-log.ts'
export { attributeName, type FlagKind, longName, type ServeFlag, serveFlags } from './settings/serve-flags.ts'
export {
  type Environment,
  type Flags,
  readServeSettings,
  type ServeSettings,
  type SocketSettings,
  type TcpAddress,
  type TlsFiles,
} from './settings/serve-settings.ts'
