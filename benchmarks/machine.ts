import { cpus, loadavg, release, totalmem } from 'node:os'
import { hostNode, run } from '../scripts/command.ts'

/** What the figures were taken on. */
export interface Machine {
  readonly processor: string
  readonly processors: number
  readonly memoryGiB: number
  readonly system: string
  readonly node: string
  readonly hostNode: string
  readonly rust: string
  /** Undefined outside a git checkout. */
  readonly commit: string | undefined
}

export async function describeMachine(): Promise<Machine> {
  const commit = await firstLine('git', ['rev-parse', '--short', 'HEAD'])
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    processors: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch} ${release()}`,
    node: process.version,
    hostNode: (await firstLine(hostNode, ['--version'])) ?? 'unknown',
    rust: (await firstLine('rustc', ['--version'])) ?? 'unknown',
    commit,
  }
}

/** Processes that wanted to run, over the last minute. Above the number of processors, figures are worth little. */
export function load(): number {
  return Math.round((loadavg()[0] ?? 0) * 100) / 100
}

async function firstLine(command: string, args: readonly string[]): Promise<string | undefined> {
  const { code, output } = await run(command, args)
  return code === 0 ? output.split('\n')[0]?.trim() : undefined
}
