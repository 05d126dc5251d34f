/**
 * 96 bytes that are in no other memory than that of who calls this; no UTF-8. (The engine keeps up to 64 bytes on its own
 * heap, and leaves a copy there when they are first passed to native code.)
 */
export function marker(): Buffer {
  const bytes = Buffer.allocUnsafeSlow(96)
  let state = 0x2545f491
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 0x41c64e6d) + 0x3039) >>> 0
    bytes[at] = (state >>> 16) | 0x80
  }
  return bytes
}
