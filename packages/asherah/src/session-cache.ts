import type { AsherahSession } from './session.ts'
import type { SessionFactory } from './session-factory.ts'

interface Entry {
  readonly partitionId: string
  readonly session: AsherahSession
  /** By `performance.now()`. */
  readonly until: number
  /** Since it was made, or looked at to make room. */
  used: boolean
}

/** Sessions looked at to make room, at most: a turn through all of a large cache would hold up one call. */
const mostLooks = 16

/**
 * The sessions of the module API, by partition: when there are too many, the one is closed that has waited longest without being
 * used. Keys are the ring's business; this only spares making session objects. (Keeping them in the order of their use costs
 * each call a change of the map, a fifth of the call.)
 */
export class SessionCache {
  readonly #factory: SessionFactory
  readonly #maxSize: number
  readonly #durationMs: number
  readonly #entries = new Map<string, Entry>()
  #last: Entry | undefined

  constructor(factory: SessionFactory, settings: { maxSize: number; durationSeconds: number }) {
    this.#factory = factory
    this.#maxSize = settings.maxSize
    this.#durationMs = settings.durationSeconds * 1000
  }

  get(partitionId: string): AsherahSession {
    const now = performance.now()
    const known = this.#last?.partitionId === partitionId ? this.#last : this.#entries.get(partitionId)
    if (known !== undefined && now < known.until) {
      known.used = true
      this.#last = known
      return known.session
    }
    if (known !== undefined) this.#close(known)
    const session = this.#factory.getSession(partitionId)
    if (this.#entries.size >= this.#maxSize) this.#makeRoom()
    const entry = { partitionId, session, until: now + this.#durationMs, used: false }
    this.#entries.set(partitionId, entry)
    this.#last = entry
    return session
  }

  close(): void {
    for (const { session } of this.#entries.values()) session.close()
    this.#entries.clear()
    this.#last = undefined
  }

  #makeRoom(): void {
    let looks = 0
    for (const entry of this.#entries.values()) {
      if (!entry.used || looks === mostLooks) {
        this.#close(entry)
        return
      }
      entry.used = false
      // It waits once more, behind all others.
      this.#entries.delete(entry.partitionId)
      this.#entries.set(entry.partitionId, entry)
      looks += 1
    }
  }

  #close(entry: Entry): void {
    this.#entries.delete(entry.partitionId)
    if (this.#last === entry) this.#last = undefined
    entry.session.close()
  }
}
