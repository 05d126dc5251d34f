import type { RecordFields } from '../record-fields.ts'
import type { NativeBinding, SessionHandle } from './binding.ts'
import { type Answers, answersOf } from './many-answers.ts'

/** Bytes of a slab. */
const slabBytes = 65_536
/** A place is `fresh × 2^28 + start / 8 × 2^15 + length`. */
const fresh = 2 ** 28

/**
 * This thread's decrypted bytes: pieces of slabs of 64 KiB that nothing else uses, which the data plane fills and, once no
 * piece is referred to any more, wipes. Results above 16 KiB have memory of their own.
 *
 * Slabs are the addon's memory, which Node itself keeps from being transferred to another thread. (`markAsUntransferable`
 * on such memory aborts Node 24 at its end.) A slab that its user detaches nevertheless is replaced.
 */
class Plaintexts {
  readonly #native: NativeBinding
  #slab = Buffer.alloc(0)
  #guarded = false
  #report: ((failures: number) => void) | undefined

  constructor(native: NativeBinding) {
    this.#native = native
  }

  /** From now on, overwritten canaries are told to `report`. */
  guard(report: (failures: number) => void): void {
    this.#guarded = true
    this.#report = report
  }

  /** What `NativeBinding.decrypt` gives, as a Buffer; a number below 0 when there is none. */
  decrypt(session: SessionHandle, record: string | Uint8Array, mode: number): Buffer | number {
    const place = this.#native.decrypt(session, record, mode)
    return this.#at(place) ?? this.decrypt(session, record, mode)
  }

  /** The same for a record's fields. */
  decryptFields(session: SessionHandle, record: RecordFields, mode: number): Buffer | number {
    const { created, key, parent, data } = record
    const place = this.#native.decryptFields(session, created, key, parent.keyId, parent.created, data, mode)
    return this.#at(place) ?? this.decryptFields(session, record, mode)
  }

  /** The same for many, with Buffers in the places' places. */
  decryptMany(session: SessionHandle, inputs: readonly unknown[], mode: number): Answers {
    const { answered, values } = answersOf(this.#native.decryptMany, session, inputs, mode)
    for (let index = 0; index < answered; index++) {
      const bytes = this.#at(values[index] as ArrayBuffer | number)
      values[index] = bytes
      // What was placed in a lost slab is to be decrypted again.
      if (bytes === undefined) return { answered: index, values }
    }
    return { answered, values }
  }

  /** The Buffer of what the data plane answered, or its fault; undefined when the slab is lost. */
  #at(place: ArrayBuffer | number): Buffer | number | undefined {
    if (typeof place !== 'number') return this.own(place)
    if (place <= 0) return place < 0 ? place : Buffer.alloc(0)
    if (place >= fresh && !this.#takeSlab()) return undefined
    if (this.#slab.length !== slabBytes) {
      this.#native.plaintextRenew(true)
      return undefined
    }
    const start = ((place >> 15) & 0x1fff) << 3
    return this.#slab.subarray(start, start + (place & 0x7fff))
  }

  /** A plaintext with memory of its own, as a Buffer. */
  own(bytes: ArrayBuffer): Buffer {
    this.#tellFailures()
    return Buffer.from(bytes)
  }

  clear(bytes: Uint8Array): void {
    this.#native.clearPlaintext(bytes)
    this.#tellFailures()
  }

  #takeSlab(): boolean {
    this.#tellFailures()
    const slab = this.#native.plaintextSlab()
    if (slab === undefined) return false
    this.#slab = Buffer.from(slab)
    return true
  }

  #tellFailures(): void {
    if (!this.#guarded) return
    const failures = this.#native.takeCanaryFailures()
    if (failures > 0) this.#report?.(failures)
  }
}

export type { Plaintexts }

let plaintexts: Plaintexts | undefined

/** This thread's pool. */
export function plaintextsOf(native: NativeBinding): Plaintexts {
  plaintexts ??= new Plaintexts(native)
  return plaintexts
}
