const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const

/** A duration as people read it: its two largest units, `3d 4h`. */
export function formatDuration(milliseconds: number): string {
  const sign = milliseconds < 0 ? '-' : ''
  let rest = Math.abs(milliseconds)
  if (rest < 1000) return `${sign}${Math.round(rest)}ms`
  const parts: string[] = []
  for (const [unit, size] of units) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break
  }
  return sign + parts.join(' ')
}
