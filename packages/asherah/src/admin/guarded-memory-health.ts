import type { Config } from '../config/config.ts'
import type { MemoryStatus, NativeBinding } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { loadNative } from '../native/load.ts'

/** The data plane with the guarded memory that a configuration asks for. */
export function preparedMemory({ memory }: Pick<Config, 'memory'>): {
  readonly native: NativeBinding
  readonly status: MemoryStatus
} {
  const native = loadNative()
  // Never an error here that memory could not be locked: an operator's tool must be able to say so.
  checked(native.memoryPrepare(memory.hotSlots, false))
  return { native, status: native.memoryStatus() }
}

/** How the guarded memory of a process with this configuration would be. */
export function guardedMemoryStatus(
  config: Pick<Config, 'memory'>,
): MemoryStatus & { readonly version: string } {
  const { native, status } = preparedMemory(config)
  return { ...status, version: native.version() }
}
