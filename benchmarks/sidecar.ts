import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { residentBytes } from '../tests/support/processes.ts'
import type { ClientTask } from './children/sidecar-client.ts'
import type { Figures, Measurand } from './figure.ts'
import type { Plan } from './plan.ts'

const load = '8 streams, 16 outstanding each'
const single = 'one stream, one outstanding'
const idleStreams = 1000

function measurand(name: string, unit: Measurand['unit'], comparison?: Measurand['comparison']): Measurand {
  return { name, group: 'sidecar', unit, ...(comparison && { comparison }) }
}

const figuresOf = {
  echo: {
    cpu: measurand(`grpc-js echo, server CPU an answer, ${load}`, 'ns'),
    latency: measurand(`grpc-js echo, latency, ${single}`, 'ns'),
  },
  sidecar: {
    cpu: measurand(`sidecar, server CPU an encrypt, ${load}`, 'ns', {
      against: `grpc-js echo, server CPU an answer, ${load}`,
      by: 'ratio',
      most: 0.45,
    }),
    latency: measurand(`sidecar, latency of encrypt, ${single}`, 'ns', {
      against: `grpc-js echo, latency, ${single}`,
      by: 'ratio',
      most: 1,
    }),
  },
} as const

const memory = measurand('sidecar, resident memory with 1,000 idle streams', 'B', { by: 'value', most: 90e6 })

/**
 * The sidecar against a `@grpc/grpc-js` echo of the same messages, in turns: CPU time of the server's process, and what one
 * caller waits. The client is the same grpc-js process of its own for both.
 */
export async function measureSidecar(plan: Plan, figures: Figures): Promise<void> {
  const requests = plan.quick ? 20_000 : 100_000
  const pairs = await Promise.all((['echo', 'sidecar'] as const).map((kind) => Pair.start(kind)))
  try {
    // Until the compiler has seen everything.
    for (const pair of pairs) await pair.wait({ streams: 8, outstanding: 16, requests: 60_000 })
    for (let round = 0; round < (plan.quick ? 2 : 5); round++) {
      for (const pair of pairs) {
        const { cpu, latency } = figuresOf[pair.kind]
        figures.add(cpu, await pair.load({ streams: 8, outstanding: 16, requests }))
        figures.add(latency, await pair.wait({ streams: 1, outstanding: 1, requests: requests / 10 }))
      }
    }
  } finally {
    for (const pair of pairs) pair.close()
  }
  for (let round = 0; round < plan.memoryProcesses; round++) {
    const pair = await Pair.start('sidecar')
    try {
      await pair.wait({ idle: idleStreams })
      await sleep(500)
      figures.add(memory, residentBytes(pair.pid))
    } finally {
      pair.close()
    }
  }
}

/** What each server is started with: the sidecar as its users start it. */
const programs = {
  echo: (socket: string) => ['children/sidecar-echo.ts', socket],
  sidecar: (socket: string) => [
    '../packages/cli/dist/main.js',
    'serve',
    ...['--service', 'bench', '--product', 'bench', '--metastore', 'memory', '--kms', 'static'],
    ...['--socket-file', socket],
  ],
} as const

/** A server and the client that loads it. */
class Pair {
  readonly kind: keyof typeof figuresOf
  readonly #folder: string
  readonly #server: ChildProcess
  readonly #client: ChildProcess

  private constructor(
    kind: keyof typeof figuresOf,
    folder: string,
    server: ChildProcess,
    client: ChildProcess,
  ) {
    this.kind = kind
    this.#folder = folder
    this.#server = server
    this.#client = client
  }

  static async start(kind: keyof typeof figuresOf): Promise<Pair> {
    const folder = mkdtempSync(join(tmpdir(), 'asherah-bench-'))
    const socket = join(folder, 's')
    const [program = '', ...args] = programs[kind](socket)
    const server = spawn(process.execPath, [join(import.meta.dirname, program), ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    while (!existsSync(socket)) {
      if (server.exitCode !== null)
        throw new Error(`the ${kind} of the sidecar benchmark did not start: ${said}`)
      await sleep(20)
    }
    const client = fork(join(import.meta.dirname, 'children', 'sidecar-client.ts'), [socket], {
      execArgv: [],
    })
    return new Pair(kind, folder, server, client)
  }

  /** Nanoseconds of the server's CPU for each request. */
  async load(task: Exclude<ClientTask, { idle: number }>): Promise<number> {
    const before = this.#cpuNanoseconds
    await this.wait(task)
    return (this.#cpuNanoseconds - before) / task.requests
  }

  /** What the client answers. */
  async wait(task: ClientTask): Promise<number> {
    this.#client.send(task)
    return (await answer(this.#client)) as number
  }

  get pid(): number {
    return this.#server.pid ?? 0
  }

  /** Of all threads, exact to the nanosecond; `proc_pid_stat(5)` counts hundredths of a second only. */
  get #cpuNanoseconds(): number {
    const threads = `/proc/${this.pid}/task`
    const times = readdirSync(threads).map((thread) =>
      Number(readFileSync(join(threads, thread, 'schedstat'), 'utf8').split(' ')[0]),
    )
    return times.reduce((sum, time) => sum + time, 0)
  }

  close(): void {
    this.#server.kill()
    this.#client.disconnect()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

async function answer(child: ChildProcess): Promise<unknown> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a process of the sidecar benchmark ended (${code})`)
  })
  // When the process ends later, nobody waits any more.
  ended.catch(() => undefined)
  const [message] = await Promise.race([once(child, 'message'), ended])
  return message
}
