import { AsherahError } from './errors.ts'
import type { MemoryStatus, NativeBinding } from './native/binding.ts'
import { checked } from './native/checked.ts'
import type { Log } from './observability/log.ts'

let told = false

/** Makes the process's guarded memory, or grows it, hardens the process where asked to, and tells once when the lock limit did not allow what was wanted. */
export function prepareMemory(
  native: NativeBinding,
  wanted: { readonly hotSlots: number; readonly requireLocked: boolean; readonly hardenProcess: boolean },
  log: Log,
): void {
  if (wanted.hardenProcess) checked(native.hardenProcess())
  const answer = native.memoryPrepare(wanted.hotSlots, wanted.requireLocked)
  const status = native.memoryStatus()
  if (answer < 0 && wanted.requireLocked) throw lockLimitError(answer, status)
  checked(answer)
  if (told || (status.unlockedBytes === 0 && status.hotSlots >= status.hotSlotsWanted)) return
  told = true
  log.warn(`${shortage(status)} ${mend}`)
}

const mend =
  'Raise the limit (`ulimit -l`, LimitMEMLOCK= of systemd, --ulimit memlock of a container), or lower hotSlots.'

function shortage(status: MemoryStatus): string {
  const limit =
    status.lockLimitBytes === undefined
      ? 'The system'
      : `The memory lock limit of ${status.lockLimitBytes} bytes`
  if (status.unlockedBytes > 0) {
    return `${limit} does not allow locking the memory for keys: ${status.unlockedBytes} bytes of it may be swapped out.`
  }
  return (
    `${limit} leaves room for ${status.hotSlots} of ${status.hotSlotsWanted} hot slots: all keys stay in locked or ` +
    'sealed memory, but with many partitions in turn each call takes longer.'
  )
}

function lockLimitError(answer: number, status: MemoryStatus): Error {
  try {
    checked(answer)
  } catch (cause) {
    if (!(cause instanceof AsherahError) || cause.code !== 'ERR_MEMORY_LOCK_LIMIT') throw cause
    const limit = status.lockLimitBytes ?? 'unknown'
    return new AsherahError(
      'ERR_MEMORY_LOCK_LIMIT',
      `requireLockedMemory is set, and the lock limit of ${limit} bytes does not allow it. ${mend}`,
    )
  }
  throw new TypeError('memoryPrepare answered neither success nor a fault')
}
