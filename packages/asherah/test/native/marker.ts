/**
 * 96 bytes that are in no other memory than that of who calls this; no UTF-8. (The engine keeps up to 64 bytes on its own
 * heap, and leaves a copy there when they are first passed to native code.)
 */
export function marker(seed = 0x2545f491): Buffer {
  const bytes = Buffer.allocUnsafeSlow(96)
  let state = seed
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 0x41c64e6d) + 0x3039) >>> 0
    bytes[at] = (state >>> 16) | 0x80
  }
  return bytes
}

/** A text, of which the engine keeps one byte for each character, and so nowhere the UTF-8. */
export function markedText(): string {
  return marker(0x1b56c4e9).toString('latin1')
}

/** The UTF-8 of `markedText`. */
export function textMarker(): Buffer {
  const text = markedText()
  const utf8 = Buffer.allocUnsafeSlow(2 * text.length)
  utf8.write(text)
  return utf8
}

/** As `marker`, of ASCII. */
export function asciiMarker(): Buffer {
  const bytes = marker(0x5d588b65)
  for (const [at, byte] of bytes.entries()) bytes[at] = (byte & 0x3f) | 0x40
  return bytes
}
