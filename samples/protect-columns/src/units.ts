const grouping = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

export function whole(count: number): string {
  return grouping.format(count)
}

export function bytes(count: number): string {
  if (count < 10_000) return `${whole(count)} B`
  return count < 10_000_000 ? `${whole(count / 1000)} KB` : `${whole(count / 1_000_000)} MB`
}

export function duration(nanoseconds: number): string {
  if (nanoseconds < 999_500) return `${(nanoseconds / 1000).toFixed(1)} µs`
  return nanoseconds < 999_500_000
    ? `${(nanoseconds / 1e6).toFixed(1)} ms`
    : `${(nanoseconds / 1e9).toFixed(1)} s`
}

/** The day of a Unix time in seconds, in UTC. */
export function day(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 10)
}
