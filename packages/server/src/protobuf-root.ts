import { readFileSync } from 'node:fs'
import protobuf from 'protobufjs'
import { packageFile } from './package-folder.ts'

/** The protocols that this server speaks, as files in `proto/`. */
export const protoFiles = [
  'appencryption.proto',
  'grpc/health/v1/health.proto',
  'grpc/reflection/v1/reflection.proto',
  'grpc/reflection/v1alpha/reflection.proto',
] as const

/** Reads one of them into a root of its own, with the names of fields as they are written. */
export function protobufRoot(file: (typeof protoFiles)[number]): protobuf.Root {
  const root = new protobuf.Root()
  protobuf.parse(readFileSync(packageFile(`proto/${file}`), 'utf8'), root, { keepCase: true })
  root.resolveAll()
  return root
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
