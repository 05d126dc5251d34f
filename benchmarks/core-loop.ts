import { run } from '../scripts/command.ts'
import type { Figures } from './figure.ts'
import { wakeProcessor } from './timed-case.ts'

const group = 'core'

type Members = Readonly<Record<string, number>>

/** What `native/core/examples/core_bench.rs` prints. */
interface CoreFigures {
  readonly encrypt: Members
  readonly decrypt: Members
  /** Large results, each in memory of its own among others that are kept. */
  readonly fresh: { readonly encrypt: Members; readonly decrypt: Members }
  readonly partitions: Members
}

/** What cargo says of a compiled crate, as far as it is read here. */
interface Message {
  readonly reason: string
  readonly target?: { readonly name: string }
  readonly executable?: string | null
}

/** The name of a figure of the core's own loop. */
export function coreFigure(operation: 'encrypt' | 'decrypt', size: number): string {
  return `Rust core, ${operation} ${sizeName(size)}`
}

/** The same into memory that was not used just before, which is what a caller has who keeps large results for a while. */
export function freshCoreFigure(operation: 'encrypt' | 'decrypt', size: number): string {
  return `${coreFigure(operation, size)}, results kept`
}

export function sizeName(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1 << 20 ? `${bytes >> 10} KB` : `${bytes >> 20} MB`
}

/** The Rust core in a process of its own, without Node: the loop that everything else is compared with. */
export class CoreLoop {
  readonly #executable: string

  private constructor(executable: string) {
    this.#executable = executable
  }

  static async build(): Promise<CoreLoop> {
    return new CoreLoop(await buildExample('core_bench'))
  }

  /** One round of all its figures, about two seconds. */
  async round(figures: Figures): Promise<void> {
    wakeProcessor()
    const { code, output } = await run(this.#executable, ['--json', '--quick'], { timeoutMs: 60_000 })
    if (code !== 0) throw new Error(output)
    const core = JSON.parse(output) as CoreFigures
    for (const operation of ['encrypt', 'decrypt'] as const) {
      for (const [size, ns] of Object.entries(core[operation])) {
        figures.add({ name: coreFigure(operation, Number(size)), group, unit: 'ns' }, ns)
      }
      for (const [size, ns] of Object.entries(core.fresh[operation])) {
        const comparison = { against: coreFigure(operation, Number(size)), by: 'ratio' } as const
        figures.add({ name: freshCoreFigure(operation, Number(size)), group, unit: 'ns', comparison }, ns)
      }
    }
    for (const [partitions, ns] of Object.entries(core.partitions)) {
      const comparison = { against: coreFigure('encrypt', 64), by: 'ratio' } as const
      const name = `Rust core, encrypt 64 B, ${Number(partitions).toLocaleString('en')} partitions in turn`
      figures.add({ name, group, unit: 'ns', comparison }, ns)
    }
  }
}

/** Builds an example of the core as it is released; its path. */
export async function buildExample(example: string): Promise<string> {
  const args = ['build', '--release', '--locked', '--package', 'asherah-core', '--example', example]
  const { code, output } = await run('cargo', [...args, '--message-format', 'json-render-diagnostics'])
  if (code !== 0) throw new Error(output.replace(/^\{.*\}$\n?/gm, ''))
  for (const line of output.split('\n')) {
    if (!line.startsWith('{"reason":"compiler-artifact"')) continue
    const { target, executable } = JSON.parse(line) as Message
    if (target?.name === example && typeof executable === 'string') return executable
  }
  throw new Error(`cargo named no executable of ${example}`)
}
