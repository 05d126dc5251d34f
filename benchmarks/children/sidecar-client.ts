// The load of the sidecar benchmark, in a process of its own. Told `{ streams, outstanding, requests }`, it sends so many
// encryptions of 64 bytes and answers with the nanoseconds that the middle one took; told `{ idle }`, it opens so many
// streams, keeps them, and answers.
import { fileURLToPath } from 'node:url'
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js'
import { sessionClient } from './sidecar-service.ts'

export type ClientTask =
  | { readonly streams: number; readonly outstanding: number; readonly requests: number }
  | { readonly idle: number }

interface Response {
  readonly encrypt_response?: object
  readonly error_response?: { readonly message: string }
}

type Call = ClientDuplexStream<object, Response>

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const client = new (sessionClient())(`unix:${process.argv[2]}`, credentials.createInsecure())
  const open = (partition: string): Promise<Call> =>
    new Promise((resolve, reject) => {
      const call = client['Session']?.() as Call
      call.once('error', reject)
      call.once('data', () => resolve(call))
      call.write({ get_session: { partition_id: partition } })
    })
  process.on('message', (task: ClientTask) => {
    const run = 'idle' in task ? openIdle(open, task.idle) : load(open, task)
    void run.then((answer) => process.send?.(answer))
  })
  process.on('disconnect', () => process.exit(0))
}

async function openIdle(open: (partition: string) => Promise<Call>, count: number): Promise<number> {
  const calls = await Promise.all(Array.from({ length: count }, (_, index) => open(`idle-${index}`)))
  return calls.length
}

async function load(
  open: (partition: string) => Promise<Call>,
  { streams, outstanding, requests }: Exclude<ClientTask, { idle: number }>,
): Promise<number> {
  const data = Buffer.alloc(64, 1)
  const times: number[] = []
  const each = Math.ceil(requests / streams)
  const one = async (index: number): Promise<void> => {
    const call = await open(`partition-${index}`)
    await new Promise<void>((resolve, reject) => {
      const begun: number[] = []
      let sent = 0
      let answered = 0
      const send = (): void => {
        sent += 1
        begun.push(performance.now())
        call.write({ encrypt: { data } })
      }
      call.on('data', ({ encrypt_response, error_response }: Response) => {
        if (encrypt_response === undefined) reject(new Error(error_response?.message ?? 'no record'))
        times.push(performance.now() - (begun.shift() ?? 0))
        answered += 1
        if (sent < each) send()
        else if (answered === each) call.end()
      })
      call.on('end', resolve)
      for (let slot = 0; slot < Math.min(outstanding, each); slot++) send()
    })
  }
  await Promise.all(Array.from({ length: streams }, (_, index) => one(index)))
  return (times.toSorted((a, b) => a - b)[times.length >> 1] ?? Number.NaN) * 1e6
}
