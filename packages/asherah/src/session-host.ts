import type { InLineHost } from './engine/in-line-host.ts'
import type { SynchronousPort } from './engine/synchronous-port.ts'
import type { KeyIds } from './keys/key-ids.ts'
import type { SessionHandle } from './native/binding.ts'
import type { Records } from './native/records.ts'
import type { AsherahSession } from './session.ts'

/** What a factory lends to its sessions. */
export interface SessionHost {
  readonly ids: KeyIds
  readonly records: Records
  readonly inLine: InLineHost
  readonly synchronous: SynchronousPort
  /** Whether calls take the slower path: a metrics hook is installed, a clock was injected, or the factory is closed. */
  readonly observed: boolean
  readonly closed: boolean
  openSession(session: AsherahSession): SessionHandle
  closeSession(session: AsherahSession, handle: SessionHandle): void
  /** Tells the ring an injected clock's time; nothing otherwise. */
  setClock(): void
  /** A call begins that outlasts this turn of the event loop: closing waits until it has left. */
  enter(): void
  leave(): void
  /** Runs a call after all others that were given here before it. */
  inTurn<T>(call: () => Promise<T>): Promise<T>
}
