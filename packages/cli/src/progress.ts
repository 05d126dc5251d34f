import { SingleBar } from 'cli-progress'

/** How far long work is. */
export interface Progress {
  advance(by?: number): void
  stop(): void
}

const silent: Progress = { advance() {}, stop() {} }

/** A bar on `stream` where that is a terminal, else nothing. */
export function progressBar(stream: NodeJS.WriteStream, label: string, total: number): Progress {
  if (!stream.isTTY) return silent
  const bar = new SingleBar({
    stream,
    format: `${label} {bar} {percentage} % | {value}/{total} | {eta_formatted} left`,
    hideCursor: true,
    clearOnComplete: true,
    etaBuffer: 100,
  })
  bar.start(total, 0)
  return { advance: (by = 1) => bar.increment(by), stop: () => bar.stop() }
}
