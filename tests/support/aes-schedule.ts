/**
 * The AES-256 key expansion of FIPS 197, section 5.2, for tests that look for expanded keys in memory. Not for
 * encryption: its tables leak through caches.
 */

const rounds = 14
const roundKeyBytes = 16

/** The fifteen round keys of a 32-byte key, in order; the first two are the key itself. */
export function roundKeys(key: Uint8Array): Buffer[] {
  if (key.length !== 32) throw new RangeError('an AES-256 key has 32 bytes')
  const words = Array.from({ length: 8 }, (_, word) => Buffer.from(key.subarray(4 * word, 4 * word + 4)))
  let constant = 1
  for (let word = 8; word < 4 * (rounds + 1); word++) {
    let [a = 0, b = 0, c = 0, d = 0] = words[word - 1] ?? []
    if (word % 8 === 0) {
      ;[a, b, c, d] = [substitute(b) ^ constant, substitute(c), substitute(d), substitute(a)]
      constant = double(constant)
    } else if (word % 8 === 4) {
      ;[a, b, c, d] = [substitute(a), substitute(b), substitute(c), substitute(d)]
    }
    const [e = 0, f = 0, g = 0, h = 0] = words[word - 8] ?? []
    words.push(Buffer.from([a ^ e, b ^ f, c ^ g, d ^ h]))
  }
  const schedule = Buffer.concat(words)
  return Array.from({ length: rounds + 1 }, (_, round) =>
    schedule.subarray(roundKeyBytes * round, roundKeyBytes * (round + 1)),
  )
}

/** The same with the bytes of each 32-bit word turned around, as implementations that count in words keep them. */
export function swappedWords(roundKey: Uint8Array): Buffer {
  return Buffer.from(roundKey).swap32()
}

/** FIPS 197, section 5.1.1: the inverse in GF(2^8), then the affine transformation. */
const box = Uint8Array.from({ length: 256 }, (_, byte) => {
  const inverse = power(byte, 254)
  const turned = [0, 1, 2, 3, 4].map((by) => (inverse << by) | (inverse >> (8 - by)))
  return turned.reduce((sum, part) => sum ^ part, 0x63) & 0xff
})

function substitute(byte: number): number {
  return box[byte] ?? 0
}

function double(byte: number): number {
  return ((byte << 1) ^ (byte & 0x80 ? 0x11b : 0)) & 0xff
}

function multiply(left: number, right: number): number {
  let product = 0
  for (let factor = left, rest = right; rest > 0; rest >>= 1, factor = double(factor)) {
    if (rest & 1) product ^= factor
  }
  return product
}

function power(base: number, exponent: number): number {
  let result = 1
  for (let count = 0; count < exponent; count++) result = multiply(result, base)
  return result
}
