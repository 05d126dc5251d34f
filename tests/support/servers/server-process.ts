import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerCommand {
  /** What messages call the server. */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** The account to run under; used only where this process is root. */
  readonly user?: string
}

/** Output kept for the message of a server that fails to start or dies. */
const keptOutput = 16_384

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/**
 * A server that runs as a child process. It dies with this process, however this process ends: by an exit handler, and
 * on Linux by the parent-death signal too, which reaches it after a SIGKILL of this process.
 */
export class ServerProcess {
  readonly name: string
  readonly #child: ChildProcess
  #output = ''
  #ended = false

  private constructor(name: string, child: ChildProcess) {
    this.name = name
    this.#child = child
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString('utf8')).slice(-keptOutput)
    }
    child.stdout?.on('data', keep)
    child.stderr?.on('data', keep)
    running.add(child)
    const end = (): void => {
      this.#ended = true
      running.delete(child)
    }
    child.on('exit', end)
    child.on('error', (error) => {
      keep(Buffer.from(`${error.message}\n`))
      end()
    })
  }

  /** Starts the command. It is not ready yet: see {@link waitUntilReady}. */
  static spawn({ name, command, args, env = process.env, user }: ServerCommand): ServerProcess {
    const [program, ...prefix] = launcher(user)
    const all = program === undefined ? args : [...prefix, command, ...args]
    const child = spawn(program ?? command, [...all], { env, stdio: ['pipe', 'pipe', 'pipe'], cwd: '/' })
    return new ServerProcess(name, child)
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error(`${this.name} could not be started\n${this.#output}`)
    return pid
  }

  get running(): boolean {
    return !this.#ended
  }

  /** The last output of the server. */
  get output(): string {
    return this.#output
  }

  /** Asks until `ready` answers with something else than undefined. Fails when the server ends or the time is over. */
  async waitUntilReady<T>(ready: () => Promise<T | undefined>, timeoutMs = 30_000): Promise<T> {
    const end = performance.now() + timeoutMs
    for (;;) {
      if (this.#ended) throw new Error(`${this.name} ended while it was started\n${this.#output}`)
      const answer = await ready().catch(() => undefined)
      if (answer !== undefined) return answer
      if (performance.now() > end) {
        await this.end('SIGKILL')
        throw new Error(`${this.name} was not ready after ${timeoutMs} ms\n${this.#output}`)
      }
      await sleep(25)
    }
  }

  /** Waits for a line that the server prints, and returns its first group. */
  waitForLine(pattern: RegExp): Promise<string> {
    return this.waitUntilReady(async () => pattern.exec(this.#output)?.[1])
  }

  /** Sends a signal and waits for the end; after 15 s the server is killed. Does nothing when it has ended before. */
  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.#ended) return
    const ended = once(this.#child, 'exit')
    this.#child.kill(signal)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 15_000)
    await ended
    clearTimeout(timer)
  }

  /** Sends a signal and does not wait. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#ended) this.#child.kill(signal)
  }
}

/** The command that a server or tool must be started with to run under `user`; empty where it is not needed. */
export function launcher(user: string | undefined): string[] {
  if (process.platform !== 'linux') return []
  const changes = user !== undefined && process.getuid?.() === 0
  const identity = changes ? [`--reuid=${user}`, `--regid=${user}`, '--init-groups'] : []
  // A change of identity clears the parent-death signal; setpriv sets it last.
  return ['setpriv', ...identity, '--pdeathsig=KILL', '--']
}
