// What the sidecar is measured against: `@grpc/grpc-js` answering with the same messages, without encrypting anything.
// Listens on the socket given; tells its CPU time and memory when asked.
import { fileURLToPath } from 'node:url'
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { sessionService } from './sidecar-service.ts'

/** What a server of the benchmark tells of itself. */
export interface ServerUsage {
  /** User and system time, in microseconds. */
  readonly cpuMicros: number
  readonly residentBytes: number
}

interface EchoRequest {
  readonly get_session?: object
  readonly encrypt?: { readonly data: Buffer }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await echo(process.argv[2] ?? '')
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    const usage: ServerUsage = { cpuMicros: user + system, residentBytes: process.memoryUsage.rss() }
    process.send?.(usage)
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.('listening')
}

async function echo(socketFile: string): Promise<void> {
  const server = new Server()
  const key = {
    created: 1_700_000_000,
    key: Buffer.alloc(60, 7),
    parent_key_meta: { created: 1_700_000_000, key_id: '_IK_partition-0_bench_bench' },
  }
  server.addService(sessionService(), {
    Session(call: ServerDuplexStream<EchoRequest, object>) {
      call.on('data', ({ encrypt }: EchoRequest) => {
        if (encrypt === undefined) call.write({})
        // As long as what the sidecar answers: a nonce and a tag more.
        else
          call.write({
            encrypt_response: {
              data_row_record: { key, data: Buffer.concat([encrypt.data, key.key.subarray(0, 28)]) },
            },
          })
      })
      call.on('end', () => call.end())
    },
  })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketFile}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    )
  })
}
