import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { packageFile } from './package-folder.ts'

const reflection = 'grpc/reflection/v1/reflection.proto'
const olderReflection = 'grpc/reflection/v1alpha/reflection.proto'

/** The protocols that this server speaks, under the names of files in `proto/`. */
export const protoFiles = [
  'appencryption.proto',
  'grpc/health/v1/health.proto',
  reflection,
  olderReflection,
] as const

/** Reads one of them into a root of its own, with the names of fields as they are written. */
export function protobufRoot(file: (typeof protoFiles)[number]): protobuf.Root {
  const root = new protobuf.Root()
  protobuf.parse(protoText(file), root, { keepCase: true })
  root.resolveAll()
  return root
}

/** The older reflection differs from the newer in the name of its package only, and so has no file of its own. */
function protoText(file: (typeof protoFiles)[number]): string {
  if (file !== olderReflection) return readFileSync(packageFile(`proto/${file}`), 'utf8')
  return protoText(reflection).replace('package grpc.reflection.v1;', 'package grpc.reflection.v1alpha;')
}

/** A message type of a root whose decoded messages have the members of `Message`. */
export interface MessageType<Message extends object> {
  decode(bytes: Uint8Array): Partial<Message>
  encode(message: Message, writer: protobuf.Writer): protobuf.Writer
}

export function messageType<Message extends object>(root: protobuf.Root, name: string): MessageType<Message> {
  // Its codec is made at the first use otherwise, and replaced under whoever holds it.
  return root.lookupType(name).setup() as unknown as MessageType<Message>
}

/** The same message with the members of its oneofs as fields that do not know of each other. */
export function withoutOneofs<Message extends object>(
  root: protobuf.Root,
  name: string,
): MessageType<Message> {
  const type = root.lookupType(name)
  const plain = new protobuf.Type(`${type.name}Fields`)
  for (const field of type.fieldsArray) plain.add(new protobuf.Field(field.name, field.id, field.type))
  type.parent?.add(plain)
  root.resolveAll()
  return messageType(root, plain.fullName)
}
