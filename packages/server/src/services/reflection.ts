import type { GrpcCall, MessageSink, OpenCall } from '../grpc/grpc-call.ts'
import { framed } from '../grpc/message-encoder.ts'
import { GrpcError, status } from '../grpc/status.ts'
import { type MessageType, messageType, protobufRoot } from '../protobuf-root.ts'
import type { Catalogue } from './reflection-catalogue.ts'

type Question =
  | 'file_by_filename'
  | 'file_containing_symbol'
  | 'file_containing_extension'
  | 'all_extension_numbers_of_type'
  | 'list_services'

interface ReflectionRequest {
  readonly host?: string
  readonly message_request?: Question
  readonly file_by_filename?: string
  readonly file_containing_symbol?: string
}

/** One of these, beside the question it answers. */
interface Answer {
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Uint8Array[] }
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] }
  readonly error_response?: { readonly error_code: number; readonly error_message: string }
}

interface ReflectionResponse extends Answer {
  readonly valid_host: string
  readonly original_request: ReflectionRequest
}

/** Everything about one version, which costs some megabytes: made when a client first asks, since few ever do. */
interface Version {
  readonly requests: MessageType<ReflectionRequest>
  readonly responses: MessageType<ReflectionResponse>
  readonly catalogue: Catalogue
}

/** Server reflection in both of its versions, which differ in name only. */
export function reflectionRoutes(): ReadonlyMap<string, OpenCall> {
  return new Map(
    (['v1', 'v1alpha'] as const).map((name) => {
      let version: Promise<Version> | undefined
      const open = (call: GrpcCall): MessageSink => ({
        async message(bytes) {
          version ??= load(name)
          const { requests, responses, catalogue } = await version
          const request = decoded(() => requests.decode(bytes))
          const original = { valid_host: request.host ?? '', original_request: request }
          call.send(framed(responses, { ...original, ...answer(request, catalogue) }), false)
        },
        halfClosed: () => call.end(status.ok),
        closed: () => undefined,
      })
      return [`/grpc.reflection.${name}.ServerReflection/ServerReflectionInfo`, open] as const
    }),
  )
}

async function load(name: 'v1' | 'v1alpha'): Promise<Version> {
  const { makeCatalogue } = await import('./reflection-catalogue.ts')
  const root = protobufRoot(`grpc/reflection/${name}/reflection.proto`)
  return {
    requests: messageType(root, `grpc.reflection.${name}.ServerReflectionRequest`),
    responses: messageType(root, `grpc.reflection.${name}.ServerReflectionResponse`),
    catalogue: makeCatalogue(),
  }
}

function answer(request: ReflectionRequest, { byFile, bySymbol, services }: Catalogue): Answer {
  switch (request.message_request) {
    case 'list_services':
      return { list_services_response: { service: services.map((name) => ({ name })) } }
    case 'file_by_filename':
      return file(byFile.get(request.file_by_filename ?? ''))
    case 'file_containing_symbol':
      return file(bySymbol.get(request.file_containing_symbol ?? ''))
    case undefined:
      return refusal(status.unimplemented, 'the request asks for nothing that is known here')
    default:
      return refusal(status.notFound, 'no message of this server has extensions')
  }
}

function file(found: Uint8Array | undefined): Answer {
  if (found === undefined) return refusal(status.notFound, 'there is no such file or symbol')
  return { file_descriptor_response: { file_descriptor_proto: [found] } }
}

function refusal(code: number, message: string): Answer {
  return { error_response: { error_code: code, error_message: message } }
}

function decoded(decode: () => ReflectionRequest): ReflectionRequest {
  try {
    return decode()
  } catch {
    throw new GrpcError(status.internal, 'the message is no ServerReflectionRequest')
  }
}
