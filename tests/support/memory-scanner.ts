import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { KeyForm, KeyPatterns } from './key-patterns.ts'

/** One line of `/proc/PID/maps`. */
export interface MemoryRegion {
  readonly start: bigint
  readonly end: bigint
  /** As `rw-p`. */
  readonly access: string
  /** The file, or what the kernel calls it, as `[stack]`; empty for anonymous memory. */
  readonly name: string
  /** Locked, left out of core dumps, and zero in a forked child: `lo`, `dd` and `wf` of its `VmFlags`. */
  readonly guarded: boolean
}

/** What was found of the keys, and where. */
export interface ScanResult {
  readonly hits: readonly MemoryHit[]
  /** Bytes that were read. */
  readonly scanned: number
  /** Bytes of the regions that are guarded as the arena is. */
  readonly arenaBytes: number
  readonly milliseconds: number
}

export interface MemoryHit {
  /** The key's. */
  readonly name: string
  readonly form: KeyForm
  readonly arena: boolean
  /** As `7f0c00001040 rw-p [heap] +0x1040`, or the place in a file. */
  readonly place: string
}

const pieceBytes = 1 << 20

/**
 * Searches the whole memory of another process, which stands still meanwhile.
 *
 * @throws Error when this process may not read it
 */
export async function scanProcess(pid: number, patterns: KeyPatterns): Promise<ScanResult> {
  const start = performance.now()
  const memory = openMemory(pid, 'mem')
  const pages = openMemory(pid, 'pagemap')
  try {
    process.kill(pid, 'SIGSTOP')
    await stopped(pid)
    const hits: MemoryHit[] = []
    let scanned = 0
    let arenaBytes = 0
    for (const region of regionsOf(pid)) {
      if (region.guarded) arenaBytes += Number(region.end - region.start)
      // The kernel's own pages: the same in each process, and partly not to be read from outside.
      if (!region.access.startsWith('r') || /^\[v(var|var_vclock|syscall|dso)\]$/.test(region.name)) continue
      const what = `${region.access} ${region.name || 'anonymous'}`
      for (const { start, end } of residentParts(pages, region)) {
        scanned += searchPieces(memory, start, Number(end - start), patterns, what, ({ at, name, form }) => {
          const address = start + BigInt(at)
          const place = `${address.toString(16)} ${what} +0x${(address - region.start).toString(16)}`
          hits.push({ name, form, arena: region.guarded, place })
        })
      }
    }
    return { hits, scanned, arenaBytes, milliseconds: performance.now() - start }
  } finally {
    closeSync(memory)
    closeSync(pages)
    process.kill(pid, 'SIGCONT')
  }
}

/** Searches a file, such as a core dump. */
export function scanFile(path: string, patterns: KeyPatterns): ScanResult {
  const start = performance.now()
  const file = openSync(path, 'r')
  try {
    const hits: MemoryHit[] = []
    const scanned = searchPieces(file, 0n, statSync(path).size, patterns, path, ({ at, name, form }) =>
      hits.push({ name, form, arena: false, place: `${path} at 0x${at.toString(16)}` }),
    )
    return { hits, scanned, arenaBytes: 0, milliseconds: performance.now() - start }
  } finally {
    closeSync(file)
  }
}

/** The mappings of a process, in order. */
export function regionsOf(pid: number): MemoryRegion[] {
  const regions: MemoryRegion[] = []
  let current: Omit<MemoryRegion, 'guarded'> | undefined
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const [, start, end, access, name = ''] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? []
    if (start !== undefined && end !== undefined && access !== undefined) {
      current = { start: BigInt(`0x${start}`), end: BigInt(`0x${end}`), access, name }
    } else if (line.startsWith('VmFlags:') && current !== undefined) {
      const flags = line.split(/\s+/)
      regions.push({ ...current, guarded: ['lo', 'dd', 'wf'].every((flag) => flags.includes(flag)) })
    }
  }
  return regions
}

/** How often each key was found in each form, as `intermediate key, raw: 3`, in alphabetical order. */
export function summary(hits: readonly MemoryHit[]): string[] {
  const counts = new Map<string, number>()
  for (const { name, form } of hits) {
    const what = `${name}, ${form}`
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  return [...counts].map(([what, count]) => `${what}: ${count}`).toSorted()
}

/** Of this Linux; others are 16 and 64 KiB. */
const pageBytes = Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }))

/**
 * The parts of a region that have pages of their own, in memory or in swap. The others are zero, or as in a file that was
 * never written through this mapping; most of a process's gigabyte of stacks and libraries is of that kind.
 */
function* residentParts(
  pages: number,
  { start, end }: MemoryRegion,
): Generator<{ start: bigint; end: bigint }> {
  const size = BigInt(pageBytes)
  const count = Number((end - start) / size)
  const entries = Buffer.alloc(8 * count)
  readAll(pages, entries, 0, entries.length, (start / size) * 8n, 'pagemap')
  let first: number | undefined
  for (let page = 0; page <= count; page++) {
    // Bits 63 and 62: in memory, in swap.
    const resident = page < count && ((entries[8 * page + 7] ?? 0) & 0xc0) !== 0
    if (resident) first ??= page
    else if (first !== undefined) {
      yield { start: start + BigInt(first) * size, end: start + BigInt(page) * size }
      first = undefined
    }
  }
}

/** Reads and searches `length` bytes from `position` on, all of which must be readable; returns `length`. */
function searchPieces(
  file: number,
  position: bigint,
  length: number,
  patterns: KeyPatterns,
  what: string,
  onHit: (hit: { at: number; name: string; form: KeyForm }) => void,
): number {
  const piece = Buffer.allocUnsafeSlow(Math.min(pieceBytes, length))
  const zeroes = Buffer.alloc(piece.length)
  // Bytes from the piece before, which lie in front: no needle is longer than them by more than a byte.
  let kept = 0
  for (let done = 0; done < length; ) {
    const read = readAll(
      file,
      piece,
      kept,
      Math.min(piece.length - kept, length - done),
      position + BigInt(done),
      what,
    )
    const filled = piece.subarray(0, kept + read)
    const base = done - kept
    const last = done + read >= length
    // A needle that begins in what is kept is found with the next piece, so that it counts once.
    const keep = last ? 0 : Math.min(patterns.longest - 1, filled.length - 1)
    // Most of a core file is holes.
    if (!filled.equals(zeroes.subarray(0, filled.length))) {
      patterns.search(filled, (hit) => {
        if (hit.at < filled.length - keep) onHit({ ...hit, at: base + hit.at })
      })
    }
    piece.copyWithin(0, filled.length - keep, filled.length)
    kept = keep
    done += read
  }
  piece.fill(0)
  return length
}

function readAll(
  file: number,
  into: Buffer,
  at: number,
  length: number,
  position: bigint,
  what: string,
): number {
  let read = 0
  while (read < length) {
    const place = position + BigInt(read)
    const now = readSync(file, into, at + read, length - read, place)
    if (now === 0) throw new Error(`${what} could not be read from ${place.toString(16)} on`)
    read += now
  }
  return read
}

function openMemory(pid: number, file: 'mem' | 'pagemap'): number {
  try {
    return openSync(`/proc/${pid}/${file}`, 'r')
  } catch (cause) {
    throw new Error(
      `The memory of process ${pid} cannot be read. These tests need Linux, and the right to trace a child process: in a ` +
        'container, --cap-add SYS_PTRACE; elsewhere, /proc/sys/kernel/yama/ptrace_scope below 2.',
      { cause },
    )
  }
}

/** Waits until every thread of the process has stopped. */
async function stopped(pid: number): Promise<void> {
  for (let waits = 0; waits < 1000; waits++) {
    // The state is the first field behind the name, which may hold anything.
    const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
    if (state === 'T' || state === 't') return
    await sleep(5)
  }
  throw new Error(`process ${pid} did not stop`)
}
