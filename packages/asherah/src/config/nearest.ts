/** The candidate that a misspelt name is closest to; the first one of several that are equally close. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate)
    if (distance >= least) continue
    best = candidate
    least = distance
  }
  return best
}

/** Insertions, deletions, substitutions and swaps of neighbours between two names, case and underscores aside. */
export function editDistance(one: string, other: string): number {
  const a = folded(one)
  const b = folded(other)
  let beforeLast: readonly number[] = []
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      const distances = [
        at(last, column) + 1,
        at(current, column - 1) + 1,
        at(last, column - 1) + (same ? 0 : 1),
      ]
      if (a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        distances.push(at(beforeLast, column - 2) + 1)
      }
      current.push(Math.min(...distances))
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

// Bounded, so that a megabyte given as a key does not cost a minute.
function folded(name: string): string {
  return name.slice(0, 64).toLowerCase().replaceAll('_', '')
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}
