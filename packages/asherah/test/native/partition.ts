import { randomBytes } from 'node:crypto'
import type { KeyHandle, RingHandle, SessionHandle } from '../../src/native/binding.ts'
import { checked } from '../../src/native/checked.ts'
import { loadNative } from '../../src/native/load.ts'
import { type PlaintextOptions, Records } from '../../src/native/records.ts'

export const native = loadNative()
checked(native.memoryPrepare(256, false))

/** Later than any clock of these tests. */
export const far = Number.MAX_SAFE_INTEGER
export const created = 1_795_315_800

export interface Partition {
  readonly ring: RingHandle
  readonly session: SessionHandle
  readonly id: string
  readonly key: KeyHandle
  /** What the key's 32 bytes are, for the oracle. */
  readonly keyBytes: Uint8Array
}

export interface Put {
  readonly expiresAtMs?: number
  readonly revoked?: boolean
  readonly checkAfterMs?: number
  readonly overdueAfterMs?: number
}

export function newRing(suffix = ''): RingHandle {
  return checked(native.ringCreate({ capacity: 100, suffix, acceptedSuffixes: [] })) as RingHandle
}

/** A session over a ring of its own that has one key, known to the test. */
export function partition(id = '_IK_tenant-42_api_catalog', put: Put = {}): Partition {
  const keyBytes = randomBytes(32)
  const key = checked(native.keyImport(Buffer.from(keyBytes))) as KeyHandle
  const ring = newRing()
  putKey(ring, id, key, put)
  return { ring, session: checked(native.sessionOpen(ring, id)) as SessionHandle, id, key, keyBytes }
}

export function putKey(ring: RingHandle, id: string, key: KeyHandle, put: Put = {}): void {
  const { expiresAtMs = far, revoked = false, checkAfterMs = far, overdueAfterMs = far } = put
  checked(native.ringPut(ring, id, created, key, expiresAtMs, revoked, checkAfterMs, overdueAfterMs, true))
}

export function recordsWith(
  options: Partial<PlaintextOptions> = {},
  tellFailures: (failures: number) => void = () => undefined,
): Records {
  return new Records(native, { isolated: false, canaries: false, ...options }, tellFailures)
}

/** A result, which must not be a status. */
export function text(answer: string | number): string {
  if (typeof answer !== 'string') throw new Error(`expected a result, got ${answer}`)
  return answer
}

export function bytes(answer: Buffer | number): Buffer {
  if (typeof answer === 'number') throw new Error(`expected a result, got ${answer}`)
  return answer
}

/** Fault numbers as `native/core/src/status.rs` has them. */
export const fault = {
  recordMalformed: -1,
  recordForeign: -2,
  dataAuthentication: -3,
  keyAuthentication: -4,
  tooLarge: -5,
  notUtf8: -6,
  staleHandle: -7,
  keyLength: -17,
  closed: -18,
} as const
