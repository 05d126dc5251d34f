import { readdirSync, readFileSync } from 'node:fs'

/** The processes that this one has started and that live (proc(5): stat). */
export function childrenOf(pid: number): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      return Number(parent) === pid ? [Number(name)] : []
    } catch {
      // It has ended since the folder was read.
      return []
    }
  })
}

/** Bytes of resident memory (proc(5): VmRSS). */
export function residentBytes(pid: number): number {
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  if (kibibytes === undefined) throw new Error(`the process ${pid} has no resident memory`)
  return Number(kibibytes) * 1024
}
