import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pythonPackages } from '../tests/support/servers/packages.ts'
import { sizeName } from './core-loop.ts'
import type { Comparison, Figures, Measurand } from './figure.ts'
import { asyncFigure, heldPartitionsFigure, modulePartitionsFigure, syncFigure } from './session-cases.ts'

const requirements = join(import.meta.dirname, '..', 'tests', 'interop', 'python', 'requirements.txt')
const script = join(import.meta.dirname, 'children', 'peer-loop.py')

/** How many times as long the peer is to take. */
const bars: Readonly<Record<'encrypt' | 'decrypt', Readonly<Record<number, number>>>> = {
  encrypt: { 64: 1.8, 1024: 3.5, 8192: 4 },
  decrypt: { 64: 1.6, 1024: 2.5, 8192: 4 },
}

type Members = Readonly<Record<string, number>>

interface PeerFigures {
  readonly encrypt: Members
  readonly decrypt: Members
  /** 2,048 partitions in turn: over sessions obtained before, and by the module's own function. */
  readonly held: number
  readonly module: number
}

/** The Rust implementation's Python package, in a process of its own: what users would take instead. */
export class PeerLoop {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    child.stderr.pipe(process.stderr)
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** Undefined, and said so, where it cannot be installed: the rest is measured all the same. */
  static async start(roundMs: number): Promise<PeerLoop | undefined> {
    try {
      const python = await pythonPackages(requirements)
      const peer = new PeerLoop(spawn(python, ['-u', script, String(roundMs)]))
      await peer.#line()
      return peer
    } catch (error) {
      console.error(
        `PyPI asherah is left out: ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
      )
      return undefined
    }
  }

  async round(figures: Figures): Promise<void> {
    this.#child.stdin.write('round\n')
    const peer = JSON.parse(await this.#line()) as PeerFigures
    const add = (name: string, ns: number, comparison: Comparison): void => {
      const measurand: Measurand = { name: `PyPI asherah, ${name}`, group: 'peer', unit: 'ns', comparison }
      figures.add(measurand, ns)
    }
    for (const operation of ['encrypt', 'decrypt'] as const) {
      for (const [size, ns] of Object.entries(peer[operation])) {
        const [name, least] = [sizeName(Number(size)), bars[operation][Number(size)]]
        const against = syncFigure(operation, Number(size))
        add(`${operation} ${name}`, ns, { against, by: 'ratio', ...(least !== undefined && { least }) })
      }
      const own = peer[operation][64]
      if (own !== undefined) {
        const comparison = { against: asyncFigure(operation), by: 'ratio', least: 1 } as const
        add(`${operation} 64 B, against ours awaited`, own, comparison)
      }
    }
    const turns = '64 B, 2,048 partitions in turn'
    add(`module, encrypt ${turns}`, peer.module, { against: modulePartitionsFigure, by: 'ratio', least: 10 })
    add(`held sessions, encrypt ${turns}`, peer.held, { against: heldPartitionsFigure, by: 'ratio' })
  }

  close(): void {
    this.#child.stdin.end()
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next()
    if (done === true) throw new Error('the process of PyPI asherah has ended')
    return String(value)
  }
}
