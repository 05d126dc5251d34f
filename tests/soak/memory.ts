/** A reading of a process's resident memory. */
export interface MemorySample {
  /** Since the start of the soak. */
  readonly seconds: number
  readonly mebibytes: number
}

/** What the samples after the warm-up say. */
export interface MemoryVerdict {
  readonly firstThirdMiB: number
  readonly lastThirdMiB: number
  /** How much more the last third has; below 0 when it has less. */
  readonly growthPercent: number
}

/** Compares the medians of the first and the last third; undefined with too few samples to have any. */
export function compareThirds(samples: readonly MemorySample[]): MemoryVerdict | undefined {
  const third = Math.floor(samples.length / 3)
  if (third < 3) return undefined
  const firstThirdMiB = median(samples.slice(0, third))
  const lastThirdMiB = median(samples.slice(-third))
  return { firstThirdMiB, lastThirdMiB, growthPercent: (lastThirdMiB / firstThirdMiB - 1) * 100 }
}

function median(samples: readonly MemorySample[]): number {
  const sorted = samples.map(({ mebibytes }) => mebibytes).toSorted((one, other) => one - other)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}
