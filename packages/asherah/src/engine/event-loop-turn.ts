/** A loop of awaited hits resumes in microtasks alone, which starves timers and sockets; so one turn every few ms. */
const longestRunMs = 4
/** A clock reading costs about 40 ns, so it is not taken at each call. */
const callsPerReading = 32

let calls = 0
let lastTurnAt = 0

/** Whether the calls of this thread have run for a while without giving the event loop a turn. */
export function turnIsDue(): boolean {
  calls += 1
  if (calls < callsPerReading) return false
  calls = 0
  return performance.now() - lastTurnAt > longestRunMs
}

/** One turn of the event loop. */
export async function eventLoopTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
  lastTurnAt = performance.now()
}
