/**
 * What the Rust data plane offers, one call a line: the shape of the addon's exports. Handles are generation-checked
 * numbers. A call that can fail returns a number below 0, its fault; `checked()` turns it into an `AsherahError`. An argument
 * of a wrong type throws.
 */
export type RingHandle = number & { readonly handle: 'ring' }
export type SessionHandle = number & { readonly handle: 'session' }
export type KeyHandle = number & { readonly handle: 'key' }

/** Bits of the `mode` argument of the per-record calls: a key whose check is overdue is used. */
export const tolerateOverdue = 1
/** The plaintext gets memory of its own. */
export const isolatePlaintext = 2
/** The plaintext gets canaries around it. */
export const guardPlaintext = 4

/** The answer of a per-record call that is not a result and not a fault: the key is not in the ring, or not valid any more. */
export const miss = -101
/** The key is in the ring, but its check is overdue. */
export const overdue = -102

/** The answer of a call of many records for an input of a wrong type. */
export const wrongType = -103

/** The faults that the control plane itself decides by; `checked.ts` has the others. */
export const unwrapAuthentication = -16
export const keyLength = -17

/** Raised with each change of {@link NativeBinding}: an addon of other sources could be misunderstood in silence. */
export const interfaceNumber = 6

export interface RingOptions {
  /** Most keys held. */
  readonly capacity: number
  /** Region suffix of newly written ids, `''` for none. */
  readonly suffix: string
  /** Further suffixes that the partition gate accepts when `suffix` is set. */
  readonly acceptedSuffixes: readonly string[]
}

export interface RingStats {
  readonly keys: number
  readonly capacity: number
  readonly hits: number
  readonly misses: number
  readonly stale: number
  readonly evictions: number
}

export interface MemoryStatus {
  readonly lockedBytes: number
  readonly unlockedBytes: number
  /** Undefined where the process may lock without a limit. */
  readonly lockLimitBytes?: number
  readonly hotSlots: number
  readonly hotSlotsWanted: number
  readonly hotSlotsInUse: number
  /** Uses of a key that was in a hot slot. */
  readonly hotHits: number
  /** Uses of a key that had to be taken out of its enclave. */
  readonly hotMisses: number
  /** Whether every page is left out of core dumps. */
  readonly noDump: boolean
  /** Whether the system itself keeps every page from forked children. */
  readonly wipedOnFork: boolean
}

/** Where the numbers of {@link NativeBinding.ringGet} are. */
export const ringEntry = {
  /** A handle, to be released. */
  key: 0,
  /** Unix seconds. */
  created: 1,
  /** Wall-clock milliseconds. */
  expiresAtMs: 2,
  /** 0 or 1. */
  revoked: 3,
  /** Monotonic milliseconds, as the next one. */
  checkAfterMs: 4,
  overdueAfterMs: 5,
  /** 0 fresh, 1 due (this caller has claimed the check), 2 overdue. */
  state: 6,
} as const

export interface NativeBinding {
  /** {@link interfaceNumber} of the sources that the addon was built from. */
  interfaceNumber(): number
  version(): string

  // Guarded memory, one a process.
  memoryPrepare(hotSlots: number, requireLocked: boolean): number
  memoryStatus(): MemoryStatus
  /** No core files of this process, and no reading of its memory by others of the same user. Linux; elsewhere a fault. */
  hardenProcess(): number

  // Keys by handle. None of these ever returns the bytes of an intermediate or data row key.
  keyGenerate(): KeyHandle
  /** Takes 32 bytes and overwrites them. */
  keyImport(bytes: Uint8Array): KeyHandle
  /** Writes the 32 bytes of a system key into `out`, for a KMS that cannot take a handle. */
  keyExport(key: KeyHandle, out: Uint8Array): number
  /** Writes the 60 bytes of AEAD(key, under), contract section 2.1, into `out`. */
  keyWrap(key: KeyHandle, under: KeyHandle, out: Uint8Array): number
  keyUnwrap(wrapped: Uint8Array, under: KeyHandle): KeyHandle
  /** Fault or 0. */
  keyRelease(key: KeyHandle): number

  // Rings: process-wide, so another thread may put keys into one.
  ringCreate(options: RingOptions): RingHandle
  ringPut(
    ring: RingHandle,
    keyId: string,
    created: number,
    key: KeyHandle,
    expiresAtMs: number,
    revoked: boolean,
    checkAfterMs: number,
    overdueAfterMs: number,
    asLatest: boolean,
  ): number
  /** 1 when the key is in the ring, 0 when not, or a fault. */
  ringRefresh(
    ring: RingHandle,
    keyId: string,
    created: number,
    expiresAtMs: number,
    revoked: boolean,
    checkAfterMs: number,
    overdueAfterMs: number,
    asLatest: boolean,
  ): number
  ringEvict(ring: RingHandle, keyId: string, created: number): number
  /** `created` NaN: the question for the latest key. */
  ringBackOff(ring: RingHandle, keyId: string, created: number, untilMonotonicMs: number): number
  /**
   * 1, and the key in `out`, 56 bytes: seven numbers as {@link ringEntry} names them. `created` NaN: the latest, expired and
   * revoked ones too. 0: not in the ring. Numbers, because an object made by the addon costs a microsecond.
   */
  ringGet(ring: RingHandle, keyId: string, created: number, out: Uint8Array): number
  ringStats(ring: RingHandle): RingStats | number
  /** NaN for both: the system's clocks again. */
  ringSetClock(ring: RingHandle, wallMs: number, monotonicMs: number): number
  /** Monotonic milliseconds of the system, as rings on its clocks count them. */
  monotonicMs(): number
  /** The ring's handle is stale afterwards; its sessions answer `miss` no more but `closed`. */
  ringClose(ring: RingHandle): number

  // The bridge: which thread of the process loads keys for threads that block meanwhile. A generation is one thread's time
  // in that office, from 1.
  /** The new generation, for the one caller that has to start the thread; 0 for all others. */
  bridgeClaim(): number
  /** Called by the bridge's thread when it listens; its end releases the generation. */
  bridgeReady(generation: number): void
  /** The generation that listens, or 0. */
  bridgeGeneration(): number
  /** Gives the generation up, if it is still the current one. */
  bridgeRelease(generation: number): void
  /** Random text, one a process. */
  processToken(): string

  // Sessions: of this JavaScript thread only.
  sessionOpen(ring: RingHandle, coreId: string): SessionHandle
  sessionClose(session: SessionHandle): number

  // Records, one call each: the result or a number below 0, which is `miss`, `overdue` or a fault. Each call sets the first
  // number of the attached array: 1 when the key is due for a check that this caller is to start, else 0.
  // And the first two numbers of the other array after `encryptFields`: when the record and its intermediate key were made.
  attach(mailbox: Int32Array, times: Float64Array): void
  encrypt(session: SessionHandle, data: Uint8Array, mode: number): string | number
  /** Lone surrogates become U+FFFD: the caller refuses them before. */
  encryptString(session: SessionHandle, text: string, mode: number): string | number
  /** A number of 0 or more is a place in this thread's slab (see `Plaintexts`). */
  decrypt(session: SessionHandle, record: string | Uint8Array, mode: number): ArrayBuffer | number
  decryptString(session: SessionHandle, record: string | Uint8Array, mode: number): string | number
  encryptMany: ManyCall
  encryptStringMany: ManyCall
  decryptMany: ManyCall
  decryptStringMany: ManyCall
  /** The key that this thread's last decryption asked for, after `miss`, `overdue` or a due check. */
  question(): Question

  // The same on the thread pool, over a copy taken before the call returns. The key is looked up before, so `miss`,
  // `overdue` and a due check show at once. A promise gives a number for what failed later; it is never rejected.
  encryptOnPool(session: SessionHandle, data: Uint8Array, mode: number): Promise<string | number> | number
  encryptStringOnPool(session: SessionHandle, text: string, mode: number): Promise<string | number> | number
  decryptOnPool(
    session: SessionHandle,
    record: string | Uint8Array,
    mode: number,
  ): Promise<ArrayBuffer | number> | number
  decryptStringOnPool(
    session: SessionHandle,
    record: string | Uint8Array,
    mode: number,
  ): Promise<string | number> | number

  // The same for a record's fields as they are, without JSON and base64 (contract section 2.1).
  /**
   * 0, with the wrapped data row key (60 bytes) at `keyAt` of `out`, and the sealed data (28 bytes more than `data` has) at
   * `dataAt`.
   */
  encryptFields(
    session: SessionHandle,
    data: Uint8Array,
    mode: number,
    out: Uint8Array,
    keyAt: number,
    dataAt: number,
  ): number
  /** As `decrypt`. Times that are no whole numbers up to 2^53 - 1 are a malformed record. */
  decryptFields(
    session: SessionHandle,
    created: number,
    key: Uint8Array,
    keyId: string,
    keyCreated: number,
    data: Uint8Array,
    mode: number,
  ): ArrayBuffer | number

  // The plaintext pool of this thread.
  /** The slab that a place with the mark of a fresh one lies in; undefined where there is none: decrypt again. */
  plaintextSlab(): ArrayBuffer | undefined
  /** Begins another slab; `external: false` has every plaintext in the engine's own memory from now on. */
  plaintextRenew(external: boolean): void
  /** Zeroes the bytes, and checks the canaries around them. */
  clearPlaintext(bytes: Uint8Array): void
  /** Canaries found overwritten in this process since it was last asked. */
  takeCanaryFailures(): number
}

/** Most inputs of a {@link ManyCall}. */
export const mostInputs = 64

/**
 * A record call for each of the inputs, {@link mostInputs} at most: `take` is called once with the answers, and how many there
 * are is the result. Fewer than asked for: behind the last answer is `miss` or `overdue`, and that input needs its key first;
 * or the last one's key is due for a check; or its place is in a fresh slab. A result below 0 is a fault of the call.
 */
export type ManyCall = (
  session: SessionHandle,
  mode: number,
  take: (...answers: unknown[]) => void,
  ...inputs: readonly unknown[]
) => number

/** Which key a decryption asked for. */
export interface Question {
  readonly keyId: string
  /** Unix seconds. */
  readonly created: number
}
