import { argumentError } from './errors.ts'
import {
  decryptAsync,
  decryptString,
  decryptStringAsync,
  encryptAsync,
  encryptString,
  encryptStringAsync,
  getSetupStatus,
  setLogHook,
  setMetricsHook,
  setupAsync,
  shutdownAsync,
} from './module-api.ts'
import type { LogEvent, LogLevel } from './observability/log.ts'

/** What programs written for the npm package `asherah` up to 4.0 call (contract section 6.1). */
export {
  decryptAsync as decrypt_async,
  decryptString as decrypt_string,
  decryptStringAsync as decrypt_string_async,
  encryptAsync as encrypt_async,
  encryptString as encrypt_string,
  encryptStringAsync as encrypt_string_async,
  getSetupStatus as get_setup_status,
  setMetricsHook as set_metrics_hook,
  setupAsync as setup_async,
  shutdownAsync as shutdown_async,
}

/** The numbers of zerolog, which the first generation of that package logged with. */
const levelNumbers: Readonly<Record<LogLevel, number>> = { trace: -1, debug: 0, info: 1, warn: 2, error: 3 }

type LogHook = ((event: LogEvent) => void) | ((level: number, message: string) => void)

/** {@link setLogHook}; a function that declares two parameters gets a number (trace -1 to error 3) and the message. */
export function set_log_hook(hook: LogHook | null): void {
  if (typeof hook === 'function' && hook.length >= 2) {
    const numbered = hook as (level: number, message: string) => void
    setLogHook((event) => numbered(levelNumbers[event.level], event.message))
    return
  }
  setLogHook(hook as ((event: LogEvent) => void) | null)
}

/** Kept for the Go-based generation of the package; has no effect. */
export function setMaxStackAllocItemSize(bytes: number): void {
  requireNumber(bytes)
}

/** Kept for the Go-based generation of the package; has no effect. */
export function setSafetyPaddingOverhead(bytes: number): void {
  requireNumber(bytes)
}

export {
  setMaxStackAllocItemSize as set_max_stack_alloc_item_size,
  setSafetyPaddingOverhead as set_safety_padding_overhead,
}

function requireNumber(bytes: number): void {
  if (typeof bytes !== 'number') throw argumentError('bytes', 'a number', bytes)
}
