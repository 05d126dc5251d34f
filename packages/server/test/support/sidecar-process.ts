import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { childrenOf, residentBytes } from '../../../../tests/support/processes.ts'
import type { Flags } from '../../src/index.ts'

const program = fileURLToPath(new URL('serve-program.ts', import.meta.url))

/** A sidecar as a process of its own, which is killed with its test. */
export class SidecarProcess {
  readonly child: ChildProcess
  readonly #ended: Promise<string>
  #log = ''

  private constructor(child: ChildProcess) {
    this.child = child
    this.#ended = once(child, 'exit').then(([code, signal]) => String(signal ?? code))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#log += chunk.toString('utf8')
    })
  }

  /** Resolves when it serves; rejects with its log when it ends before. */
  static async start(context: Pick<TestContext, 'after'>, flags: Flags): Promise<SidecarProcess> {
    const args = ['--disable-warning=ExperimentalWarning', program, JSON.stringify(flags)]
    const sidecar = new SidecarProcess(
      spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'pipe'] }),
    )
    context.after(async () => {
      sidecar.child.kill('SIGKILL')
      await sidecar.#ended
    })
    while (!/serving on/.test(sidecar.#log)) {
      const data = sidecar.child.stderr === null ? [] : [once(sidecar.child.stderr, 'data')]
      const ended = await Promise.race([...data, sidecar.#ended])
      if (typeof ended === 'string') throw new Error(`the sidecar ended (${ended}): ${sidecar.#log}`)
    }
    return sidecar
  }

  get log(): string {
    return this.#log
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** The processes that it has started and that live. */
  get children(): readonly number[] {
    return childrenOf(this.pid)
  }

  /** Bytes of resident memory, as the kernel counts them. */
  get residentBytes(): number {
    return residentBytes(this.pid)
  }

  /** Sends a signal and waits for the end: its exit code, or the signal that killed it. */
  async end(signal: NodeJS.Signals): Promise<string> {
    this.child.kill(signal)
    return this.#ended
  }
}
