/**
 * Zeroes with a backing store of their own: V8 keeps the bytes of a small array on its moving heap otherwise, and copies of
 * them behind.
 */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length))
}
