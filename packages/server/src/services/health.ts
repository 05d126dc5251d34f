import type { GrpcCall, MessageSink, OpenCall } from '../grpc/grpc-call.ts'
import { framed } from '../grpc/message-encoder.ts'
import { GrpcError, status } from '../grpc/status.ts'
import { messageType, protobufRoot } from '../protobuf-root.ts'

const serving = 1
const notServing = 2
const serviceUnknown = 3

interface HealthRequest {
  readonly service?: string
}

const root = protobufRoot('grpc/health/v1/health.proto')
const requests = messageType<HealthRequest>(root, 'grpc.health.v1.HealthCheckRequest')
const responses = messageType<{ readonly status: number }>(root, 'grpc.health.v1.HealthCheckResponse')

/** `grpc.health.v1`: the server as a whole (`""`) and each of its services have one state, which ends with its drain. */
export class Health {
  readonly #services: ReadonlySet<string>
  readonly #watchers = new Set<GrpcCall>()
  #status = serving

  constructor(services: readonly string[]) {
    this.#services = new Set(['', ...services])
  }

  get routes(): ReadonlyMap<string, OpenCall> {
    return new Map<string, OpenCall>([
      ['/grpc.health.v1.Health/Check', (call) => this.#check(call)],
      ['/grpc.health.v1.Health/Watch', (call) => this.#watch(call)],
    ])
  }

  /** Tells every watcher that this server is about to go. */
  stopServing(): void {
    this.#status = notServing
    for (const watcher of this.#watchers) this.#tell(watcher, notServing)
  }

  #check(call: GrpcCall): MessageSink {
    return oneRequest(call, (service) => {
      if (!this.#services.has(service)) throw new GrpcError(status.notFound, 'there is no such service')
      this.#tell(call, this.#status)
      call.end(status.ok)
    })
  }

  #watch(call: GrpcCall): MessageSink {
    const sink = oneRequest(call, (service) => {
      const known = this.#services.has(service)
      if (known) this.#watchers.add(call)
      this.#tell(call, known ? this.#status : serviceUnknown)
    })
    return { ...sink, listensOnly: true, closed: () => void this.#watchers.delete(call) }
  }

  #tell(call: GrpcCall, state: number): void {
    call.send(framed(responses, { status: state }), false)
  }
}

/** A call whose client sends one message. */
function oneRequest(call: GrpcCall, answer: (service: string) => void): MessageSink {
  let asked = false
  return {
    message(bytes) {
      if (asked) throw new GrpcError(status.internal, 'the call takes one message')
      asked = true
      answer(decodedService(bytes))
      return undefined
    },
    halfClosed() {
      if (!asked) call.end(status.internal, 'the call ended without its message')
    },
    closed: () => undefined,
  }
}

function decodedService(bytes: Uint8Array): string {
  try {
    return requests.decode(bytes).service ?? ''
  } catch {
    throw new GrpcError(status.internal, 'the message is no HealthCheckRequest')
  }
}
