// What runs on the stack of a synchronous call runs for a caller that stands still until it returns. State of the thread is
// enough to say so: whatever goes on after a promise is called from the event loop, on another stack.
let blocked = false
let lockWaits = 0

/** Runs what a synchronous call asks for. */
export function forBlockedCaller<T>(run: () => T): T {
  const before = blocked
  blocked = true
  try {
    return run()
  } finally {
    blocked = before
  }
}

/** Whether a short wait had better block this thread, since its caller can do nothing with a promise. */
export function callerIsBlocked(): boolean {
  return blocked
}

/** Counts the calls that wait, without blocking this thread, for a lock that a blocked caller could wait for itself. */
export function countLockWait(change: 1 | -1): void {
  lockWaits += change
}

/**
 * Whether the caller is blocked while other calls wait for a lock: joining one of theirs, it would never be answered, because
 * they go on only when the event loop does.
 */
export function callerMustNotJoin(): boolean {
  return blocked && lockWaits > 0
}
