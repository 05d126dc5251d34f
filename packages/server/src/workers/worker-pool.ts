import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Entrance } from '../endpoint.ts'
import { ServerError } from '../errors.ts'
import { packageProgram } from '../package-folder.ts'
import { Log, type ServerLog } from '../server-log.ts'
import type { ServeSettings } from '../settings/serve-settings.ts'
import type { FromWorker, ToWorker } from './worker-messages.ts'

/** A worker that dies sooner than this after its start is followed by the next one only after as long a pause. */
const pauseMs = 1000
/** Beyond the drain, for closing the library. */
const endMs = 2000

/**
 * Processes that each serve a share of the connections. This one only accepts them, and hands each to the worker that has
 * had the fewest; a worker that dies is replaced.
 */
export class WorkerPool {
  readonly #settings: ServeSettings
  readonly #write: ServerLog
  readonly #log: Log
  readonly #workers: (Worker | undefined)[] = []
  #next = 0
  #closing = false

  private constructor(settings: ServeSettings, write: ServerLog) {
    this.#settings = settings
    this.#write = write
    this.#log = new Log(write)
  }

  /** @throws ServerError `ERR_WORKER` with what the first worker that failed said. */
  static async start(settings: ServeSettings, write: ServerLog): Promise<WorkerPool> {
    const pool = new WorkerPool(settings, write)
    const places = Array.from({ length: settings.workers }, (_, place) => place)
    const started = await Promise.allSettled(places.map((place) => pool.#fill(place)))
    const failed = started.find((one) => one.status === 'rejected')
    if (failed !== undefined) {
      await pool.close(0)
      throw failed.reason
    }
    return pool
  }

  /** In turn, which spreads connections that live long best. */
  take(entrance: Entrance, socket: Socket): void {
    for (let tried = 0; tried < this.#workers.length; tried++) {
      const worker = this.#workers[this.#next]
      this.#next = (this.#next + 1) % this.#workers.length
      if (worker !== undefined) {
        worker.hand(entrance, socket)
        return
      }
    }
    // No worker lives at this moment: the client connects again.
    socket.destroy()
  }

  async close(limitMs: number): Promise<void> {
    this.#closing = true
    await Promise.all(this.#workers.map((worker) => worker?.end(limitMs)))
  }

  async #fill(place: number): Promise<void> {
    const { limits, tcp, library } = this.#settings
    const start: ToWorker = { kind: 'start', limits, tls: tcp?.tls, library: library.forWorker() }
    const worker = await Worker.start(start, this.#write)
    if (this.#closing) {
      await worker.end(0)
      return
    }
    this.#workers[place] = worker
    void this.#replaceAtItsEnd(place, worker)
  }

  async #replaceAtItsEnd(place: number, worker: Worker): Promise<void> {
    const since = performance.now()
    const reason = await worker.ended
    this.#workers[place] = undefined
    while (!this.#closing) {
      this.#log.warn(
        `worker ${place + 1} of ${this.#settings.workers} ended (${reason}): starting another one`,
      )
      if (performance.now() - since < pauseMs) await sleep(pauseMs)
      if (this.#closing) return
      try {
        await this.#fill(place)
        return
      } catch (error) {
        this.#log.warn(error instanceof ServerError ? error.message : 'a worker could not be started')
        await sleep(pauseMs)
      }
    }
  }
}

class Worker {
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  /** Connections that the worker has not taken yet. Until then they are open here too. */
  readonly #handed = new Map<number, Socket>()
  #count = 0

  private constructor(child: ChildProcess) {
    this.#child = child
    this.ended = once(child, 'exit').then(([code, signal]) => {
      // Nobody will ever answer these: their clients are to connect again.
      for (const id of this.#handed.keys()) this.#letGo(id)
      return String(signal ?? code)
    })
  }

  static async start(start: ToWorker, write: ServerLog): Promise<Worker> {
    const child = fork(fileURLToPath(packageProgram('worker-process')), [], { serialization: 'advanced' })
    const worker = new Worker(child)
    const ready = new Promise<void>((resolve, reject) => {
      child.on('message', (message: FromWorker) => {
        if (message.kind === 'ready') resolve()
        else if (message.kind === 'log') write(message.event)
        else if (message.kind === 'taken') worker.#letGo(message.id)
        else reject(new ServerError('ERR_WORKER', `a worker could not start: ${message.message}`))
      })
      child.on('error', (error) =>
        reject(new ServerError('ERR_WORKER', 'a worker could not be started', { cause: error })),
      )
      worker.ended.then(
        (reason) => reject(new ServerError('ERR_WORKER', `a worker ended while it started (${reason})`)),
        reject,
      )
    })
    child.send(start satisfies ToWorker, () => undefined)
    await ready
    return worker
  }

  hand(entrance: Entrance, socket: Socket): void {
    const id = this.#count++
    this.#handed.set(id, socket)
    socket.on('error', () => undefined)
    this.#child.send(
      { kind: 'connection', entrance, id } satisfies ToWorker,
      socket,
      { keepOpen: true },
      (error) => {
        // The worker has just died.
        if (error !== null) this.#letGo(id)
      },
    )
  }

  /** Closes this process's side of a connection; it ends when the worker has none. */
  #letGo(id: number): void {
    this.#handed.get(id)?.destroy()
    this.#handed.delete(id)
  }

  async end(limitMs: number): Promise<void> {
    this.#child.send({ kind: 'drain', limitMs } satisfies ToWorker, () => undefined)
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), limitMs + endMs)
    await this.ended
    clearTimeout(timer)
  }
}
