import protobuf from 'protobufjs'
import { prefixBytes } from './frame-reader.ts'

/** A writer that has grown beyond this is not kept. */
const keptBytes = 65_536

/** What a message type of protobufjs can do, as far as it is used here. */
export interface Encodable<Message extends object> {
  encode(message: Message, writer: protobuf.Writer): protobuf.Writer
}

let writer = new protobuf.BufferWriter()

/** A message as gRPC sends it, behind its prefix. A secret one is in the frame only, which its writer overwrites. */
export function framed<Message extends object>(
  type: Encodable<Message>,
  message: Message,
  secret = false,
): Buffer {
  writer.reset()
  type.encode(message, writer)
  const length = writer.pos
  const frame = Buffer.allocUnsafe(prefixBytes + length)
  frame[0] = 0
  frame.writeUInt32BE(length, 1)
  writer.finishInto(frame, prefixBytes)
  if (secret) writer.buf.fill(0, 0, length)
  if (writer.buf.length > keptBytes) writer = new protobuf.BufferWriter()
  return frame
}
