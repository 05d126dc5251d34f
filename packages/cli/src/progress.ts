import { MultiBar } from 'cli-progress'

/** How far long work is. */
export interface Progress {
  advance(by?: number): void
  stop(): void
}

/** A bar that makes room for what is written to the same terminal. */
export interface Bar extends Progress {
  /** Takes the bar off the line that it is on; it is drawn again a moment later, on the line that the cursor is on then. */
  erase(): void
}

const silent: Bar = { advance() {}, stop() {}, erase() {} }

/** A bar on `stream` where that is a terminal, else nothing. */
export function progressBar(stream: NodeJS.WriteStream, label: string, total: number): Bar {
  if (!stream.isTTY) return silent
  // The one for a single bar goes back to where the cursor was in the beginning, over what was written since.
  const bars = new MultiBar({
    stream,
    format: `${label} {bar} {percentage} % | {value}/{total} | {eta_formatted} left`,
    hideCursor: true,
    clearOnComplete: true,
    // It is cut at the edge of the terminal, and lines of others are not.
    linewrap: true,
    etaBuffer: 100,
  })
  const bar = bars.create(total, 0)
  return {
    advance: (by = 1) => bar.increment(by),
    stop: () => {
      if (bars.isActive) bars.stop()
    },
    erase: () => {
      if (bars.isActive) stream.write('\r\u001b[K')
    },
  }
}
