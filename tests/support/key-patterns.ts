import { roundKeys, swappedWords } from './aes-schedule.ts'

/**
 * How a key can lie in memory. `raw`: its bytes. `schedule`: a round key that AES expands it to, other than those two that
 * are the key itself. `hex` and `HEX`, `base64`: as text, of one or two bytes a character.
 */
export type KeyForm = 'raw' | 'schedule' | 'hex' | 'HEX' | 'base64'

/** A key to look for. */
export interface NamedKey {
  /** What hits are counted under, as `system key`; several keys may share it. */
  readonly name: string
  readonly bytes: Uint8Array
  /** Whether to look for its round keys too; as if true unless said. */
  readonly expanded?: boolean
}

interface Needle {
  readonly bytes: Buffer
  readonly name: string
  readonly form: KeyForm
  /** Second four bytes, beside the first four that it is filed under. */
  readonly second: number
}

/** Called for each place where a needle stands. */
export type OnHit = (hit: { readonly at: number; readonly name: string; readonly form: KeyForm }) => void

const filterBits = 24

/**
 * Finds thousands of keys at once, in every form and at any alignment.
 *
 * A key counts as found where half of it is found: the needles are its halves (16 bytes, 32 digits) and each round key, and
 * 20 characters of base64 from either end, for each way in which the key can lie in what was encoded.
 *
 * Two filters of two megabytes each answer for almost all places, by a hash of four bytes and by one of eight; the rest is
 * looked up by the first four bytes and compared.
 */
export class KeyPatterns {
  /** The bytes that the end of one piece and the beginning of the next must share, so that nothing is missed between them. */
  readonly longest: number
  readonly #byFirst = new Map<number, Needle[]>()
  readonly #byFour = new Uint8Array(1 << (filterBits - 3))
  readonly #byEight = new Uint8Array(1 << (filterBits - 3))

  constructor(keys: Iterable<NamedKey>) {
    let longest = 0
    for (const key of keys) {
      for (const [form, bytes] of formsOf(key)) {
        this.#add({ bytes, form, name: key.name, second: bytes.readUInt32LE(4) })
        longest = Math.max(longest, bytes.length)
      }
    }
    if (longest === 0) throw new RangeError('there is no key to look for')
    this.longest = longest
  }

  /** Tells of every needle that lies wholly in the bytes. */
  search(bytes: Buffer, onHit: OnHit): void {
    const byFour = this.#byFour
    const byEight = this.#byEight
    // The eight bytes up to the current one.
    let first = 0
    let second = 0
    for (let at = 0; at < bytes.length; at++) {
      first = (first >>> 8) | (second << 24)
      second = (second >>> 8) | ((bytes[at] as number) << 24)
      const four = hash(first)
      if (((byFour[four >>> 3] as number) & (1 << (four & 7))) === 0) continue
      const eight = hash(first ^ Math.imul(second, 0x85ebca6b))
      if (((byEight[eight >>> 3] as number) & (1 << (eight & 7))) === 0) continue
      if (at >= 7) this.#compare(bytes, at - 7, onHit)
    }
  }

  #compare(bytes: Buffer, start: number, onHit: OnHit): void {
    const candidates = this.#byFirst.get(bytes.readUInt32LE(start))
    if (candidates === undefined) return
    const second = bytes.readUInt32LE(start + 4)
    for (const { bytes: needle, second: wanted, name, form } of candidates) {
      if (second !== wanted || start + needle.length > bytes.length) continue
      if (bytes.compare(needle, 0, needle.length, start, start + needle.length) !== 0) continue
      onHit({ at: start, name, form })
    }
  }

  #add(needle: Needle): void {
    const first = needle.bytes.readUInt32LE(0)
    mark(this.#byFour, hash(first))
    mark(this.#byEight, hash(first ^ Math.imul(needle.second, 0x85ebca6b)))
    const others = this.#byFirst.get(first)
    if (others === undefined) this.#byFirst.set(first, [needle])
    else others.push(needle)
  }
}

function mark(filter: Uint8Array, place: number): void {
  filter[place >>> 3] = (filter[place >>> 3] ?? 0) | (1 << (place & 7))
}

/** Multiplication by the golden ratio's 32 bits; its upper bits depend on all of the number's. */
function hash(first: number): number {
  return Math.imul(first, 0x9e3779b1) >>> (32 - filterBits)
}

function* formsOf({ bytes: key, expanded }: NamedKey): Generator<readonly [KeyForm, Buffer]> {
  const rounds = expanded === false ? halves(key) : roundKeys(key)
  for (const [round, roundKey] of rounds.entries()) {
    const form = round < 2 ? 'raw' : 'schedule'
    yield [form, roundKey]
    yield [form, swappedWords(roundKey)]
  }
  for (const [form, text] of textsOf(Buffer.from(key))) {
    yield [form, Buffer.from(text, 'latin1')]
    yield [form, Buffer.from(text, 'utf16le')]
  }
}

/** The first two round keys. */
function halves(key: Uint8Array): Buffer[] {
  return [Buffer.from(key.subarray(0, key.length / 2)), Buffer.from(key.subarray(key.length / 2))]
}

const charactersOfBase64 = 20

function* textsOf(key: Buffer): Generator<readonly [KeyForm, string]> {
  for (const half of [key.subarray(0, key.length / 2), key.subarray(key.length / 2)]) {
    const digits = half.toString('hex')
    yield ['hex', digits]
    yield ['HEX', digits.toUpperCase()]
  }
  // Behind 0, 1 or 2 other bytes of a group of three; of each text, the characters that depend on the key alone.
  for (const before of [0, 1, 2]) {
    const bits = 8 * (before + key.length)
    for (const alphabet of ['base64', 'base64url'] as const) {
      const text = Buffer.concat([Buffer.alloc(before), key]).toString(alphabet)
      const own = text.slice(Math.ceil((8 * before) / 6), Math.floor(bits / 6))
      for (const part of new Set([own.slice(0, charactersOfBase64), own.slice(-charactersOfBase64)])) {
        if (alphabet === 'base64' || /[-_]/.test(part)) yield ['base64', part]
      }
    }
  }
}
