// What the sidecar is measured against: `@grpc/grpc-js` answering with the same messages, without encrypting anything.
// Listens on the socket given.
import { fileURLToPath } from 'node:url'
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { sessionService } from './sidecar-service.ts'

interface EchoRequest {
  readonly get_session?: object
  readonly encrypt?: { readonly data: Buffer }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await echo(process.argv[2] ?? '')

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
