import type { AsherahSession } from './session.ts'
import type { SessionFactory } from './session-factory.ts'

/**
 * The sessions of the module API, by partition: the least recently used one is closed when there are too many. Keys are
 * the ring's business; this only spares making session objects.
 */
export class SessionCache {
  readonly #factory: SessionFactory
  readonly #maxSize: number
  readonly #durationMs: number
  readonly #entries = new Map<string, { readonly session: AsherahSession; readonly until: number }>()
  #last:
    | { readonly partitionId: string; readonly session: AsherahSession; readonly until: number }
    | undefined

  constructor(factory: SessionFactory, settings: { maxSize: number; durationSeconds: number }) {
    this.#factory = factory
    this.#maxSize = settings.maxSize
    this.#durationMs = settings.durationSeconds * 1000
  }

  get(partitionId: string): AsherahSession {
    const now = performance.now()
    if (this.#last !== undefined && this.#last.partitionId === partitionId && now < this.#last.until) {
      return this.#last.session
    }
    let entry = this.#entries.get(partitionId)
    if (entry !== undefined) this.#entries.delete(partitionId)
    if (entry === undefined || now >= entry.until) {
      entry?.session.close()
      entry = { session: this.#factory.getSession(partitionId), until: now + this.#durationMs }
    }
    this.#entries.set(partitionId, entry)
    this.#last = { partitionId, ...entry }
    if (this.#entries.size > this.#maxSize) this.#closeOldest()
    return entry.session
  }

  close(): void {
    for (const { session } of this.#entries.values()) session.close()
    this.#entries.clear()
    this.#last = undefined
  }

  #closeOldest(): void {
    const oldest = this.#entries.entries().next().value
    if (oldest === undefined) return
    this.#entries.delete(oldest[0])
    oldest[1].session.close()
  }
}
