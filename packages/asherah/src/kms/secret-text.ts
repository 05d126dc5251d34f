import { secretBytes } from '../secret-bytes.ts'
import { hexDigit } from './json-bytes.ts'

const alphabet = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/')
const pad = 0x3d
const values = new Int8Array(256).fill(-1)
for (const [value, character] of alphabet.entries()) values[character] = value

/** Length of the base64 text of so many bytes. */
export function base64Length(bytes: number): number {
  return Math.ceil(bytes / 3) * 4
}

/** Writes the base64 text of the bytes as ASCII, without a string of it in between. */
export function writeBase64(bytes: Uint8Array, out: Uint8Array, at: number): void {
  let written = at
  const write = (value: number): void => {
    out[written] = alphabet[value & 63] ?? 0
    written += 1
  }
  for (let index = 0; index < bytes.length; index += 3) {
    const [first = 0, second = 0, third = 0] = bytes.subarray(index, index + 3)
    write(first >> 2)
    write((first << 4) | (second >> 4))
    write((second << 2) | (third >> 6))
    write(third)
  }
  for (let missing = (3 - (bytes.length % 3)) % 3; missing > 0; missing -= 1) out[written - missing] = pad
}

/** What canonical base64 in ASCII stands for; undefined when it is none. */
export function readBase64(text: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  const padding = text.at(-1) !== pad ? 0 : text.at(-2) === pad ? 2 : 1
  if (text.length === 0 || text.length % 4 !== 0) return undefined
  const bytes = secretBytes((text.length / 4) * 3 - padding)
  const end = text.length - padding
  let bits = 0
  let held = 0
  let length = 0
  for (let index = 0; index < end; index++) {
    const value = values[text[index] ?? pad] ?? -1
    if (value < 0) return refused(bytes)
    bits = ((bits << 6) | value) & 0xffff
    held += 6
    if (held < 8) continue
    held -= 8
    bytes[length] = bits >> held
    length += 1
  }
  return (bits & ((1 << held) - 1)) === 0 ? bytes : refused(bytes)
}

/**
 * The bytes of hexadecimal ASCII text as a secret holds it (contract section 2.5.3): white space around and inside does not
 * count, `0x` may stand in front. A text in place of the bytes says what is wrong.
 */
export function readHex(text: Uint8Array): Uint8Array<ArrayBuffer> | string {
  const digits = secretBytes(text.length)
  try {
    let count = 0
    for (const byte of text) {
      if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) continue
      digits[count] = byte
      count += 1
    }
    const start = count >= 2 && digits[0] === 0x30 && ((digits[1] ?? 0) | 0x20) === 0x78 ? 2 : 0
    if ((count - start) % 2 !== 0) return 'has an odd number of hexadecimal digits'
    const bytes = secretBytes((count - start) / 2)
    for (let index = 0; index < bytes.length; index++) {
      const high = hexDigit(digits[start + 2 * index] ?? 0)
      const low = hexDigit(digits[start + 2 * index + 1] ?? 0)
      if (high < 0 || low < 0) {
        bytes.fill(0)
        return 'is not hexadecimal'
      }
      bytes[index] = high * 16 + low
    }
    return bytes
  } finally {
    digits.fill(0)
  }
}

function refused(bytes: Uint8Array): undefined {
  bytes.fill(0)
  return undefined
}

/** Reads a whole body into one piece of memory, and overwrites the pieces that it came in. */
export async function collectBytes(
  body: AsyncIterable<unknown>,
  mostBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  try {
    let length = 0
    for await (const chunk of body) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError('the body of an answer came as text')
      chunks.push(chunk)
      length += chunk.length
      if (length > mostBytes) throw new RangeError(`the body of an answer is longer than ${mostBytes} bytes`)
    }
    const whole = secretBytes(length)
    let at = 0
    for (const chunk of chunks) {
      whole.set(chunk, at)
      at += chunk.length
    }
    return whole
  } finally {
    for (const chunk of chunks) chunk.fill(0)
  }
}
