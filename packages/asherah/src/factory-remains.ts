import { forgetOnBridge } from './engine/bridge.ts'
import { closeBackends, type OwnBackends } from './engine/engine.ts'
import { drive } from './engine/work.ts'
import type { KeyHandle, RingHandle, SessionHandle } from './native/binding.ts'
import { loadNative } from './native/load.ts'
import { Log } from './observability/log.ts'

const log = new Log('asherah', false)

/**
 * What a factory has in native memory, by handle alone, and what it opened itself: anything of the user's in here, such as a
 * metastore object, could refer to the factory and keep it from being collected.
 */
export interface FactoryRemains {
  readonly intermediateKeys: RingHandle
  readonly systemKeys: RingHandle
  readonly masterKey: KeyHandle | undefined
  readonly backends: OwnBackends
}

/**
 * Destroys the keys of factories that were dropped without being closed, and ends the connections that the library opened
 * for them; those of a metastore or KMS of the user's own, an object or a module, stay the user's. A factory is not collected while one of its sessions
 * lives or a call of theirs is under way, since they refer to it.
 */
export const droppedFactories = new FinalizationRegistry<FactoryRemains>(destroy)

/** Ends sessions that were dropped without being closed; of the thread, because a factory may be collected before them. */
export const droppedSessions = new FinalizationRegistry<SessionHandle>(
  (handle) => void loadNative().sessionClose(handle),
)

/** Faults are left: nobody is there to be told, and a process that is being wiped has no keys any more. */
function destroy({ intermediateKeys, systemKeys, masterKey, backends }: FactoryRemains): void {
  const native = loadNative()
  native.ringClose(intermediateKeys)
  native.ringClose(systemKeys)
  forgetOnBridge(native, intermediateKeys)
  if (masterKey !== undefined) native.keyRelease(masterKey)
  endBackends(backends).catch((error: unknown) =>
    log.warnOnceAMinute('closing the metastore or KMS of a dropped factory failed', error),
  )
}

async function endBackends(backends: OwnBackends): Promise<void> {
  await drive(closeBackends(backends))
}
