import protobuf from 'protobufjs'
import descriptor from 'protobufjs/ext/descriptor.js'
import { protobufRoot, protoFiles } from '../protobuf-root.ts'

/** What can be asked for by reflection: serialised descriptors of files. */
export interface Catalogue {
  readonly byFile: ReadonlyMap<string, Uint8Array>
  readonly bySymbol: ReadonlyMap<string, Uint8Array>
  readonly services: readonly string[]
}

/** Describes every file of this package's protocols. */
export function makeCatalogue(): Catalogue {
  const byFile = new Map<string, Uint8Array>()
  const bySymbol = new Map<string, Uint8Array>()
  const services: string[] = []
  for (const name of protoFiles) {
    const root = protobufRoot(name)
    const bytes = fileDescriptor(root, name)
    byFile.set(name, bytes)
    for (const object of objectsOf(root)) {
      bySymbol.set(object.fullName.slice(1), bytes)
      if (object instanceof protobuf.Service) services.push(object.fullName.slice(1))
    }
  }
  return { byFile, bySymbol, services }
}

function* objectsOf(namespace: protobuf.NamespaceBase): Generator<protobuf.ReflectionObject> {
  for (const object of namespace.nestedArray) {
    // A package is no symbol that a file describes.
    if (object instanceof protobuf.Type || object instanceof protobuf.Enum) yield object
    if (object instanceof protobuf.Service) {
      yield object
      yield* object.methodsArray
    }
    if (object instanceof protobuf.Namespace) yield* objectsOf(object)
  }
}

/** The file as protoc describes it: under its own name, and with every type named in full. */
function fileDescriptor(root: protobuf.Root, name: string): Uint8Array {
  const [only] = root.toDescriptor('proto3').file
  if (only === undefined) throw new TypeError(`${name} describes nothing`)
  const inFull = (message: descriptor.IDescriptorProto): void => {
    const type = root.lookupType(`${only.package}.${message.name}`)
    for (const field of message.field ?? []) {
      const resolved = type.fields[field.name ?? '']?.resolvedType
      if (resolved) field.typeName = resolved.fullName
    }
  }
  only.name = name
  for (const message of only.messageType ?? []) inFull(message)
  return descriptor.FileDescriptorProto.encode(only).finish()
}
