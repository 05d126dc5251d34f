import { fileURLToPath } from 'node:url'
import { loadPackageDefinition, type ServiceClientConstructor, type ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const proto = fileURLToPath(new URL('../../packages/server/proto/appencryption.proto', import.meta.url))

/** `AppEncryption` for clients of `@grpc/grpc-js`. */
export function sessionClient(): ServiceClientConstructor {
  let found: unknown = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: Number }))
  for (const name of ['asherah', 'apps', 'server', 'AppEncryption']) {
    found = (found as Readonly<Record<string, unknown>>)[name]
  }
  return found as ServiceClientConstructor
}

/** The same for its servers. */
export function sessionService(): ServiceDefinition {
  return sessionClient().service
}
