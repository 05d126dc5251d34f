import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A TCP address or the path of a Unix socket. */
export type NetAddress = { readonly host: string; readonly port: number } | { readonly path: string }

export type Direction = 'to-server' | 'to-client'

/**
 * What a proxy does to the bytes. `afterBytes` counts, on each connection, from the moment that the fault was set.
 *
 * - `delay`: each chunk waits `ms`, and up to `jitterMs` more.
 * - `throttle`: at most so many bytes a second, in each direction.
 * - `cut`: after so many bytes the connection ends in both directions, as when the other side exits.
 * - `reset`: the same with a TCP reset (RST). Without a direction: at once, on every connection, old or new. A Unix
 *   socket knows no reset; it is cut.
 * - `truncate`: the rest of that direction is lost and its end is seen; the other direction goes on.
 * - `black-hole`: connections are accepted and read from, and nothing is ever answered. It lasts for a connection.
 *
 * `cut` towards the client with `afterBytes: 0` is a lost answer: the server has done what it was asked.
 */
export type Fault =
  | { readonly kind: 'pass' }
  | {
      readonly kind: 'delay'
      readonly ms: number
      readonly jitterMs?: number
      readonly direction?: Direction
    }
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  | ({ readonly kind: 'cut' | 'truncate' } & Place)
  | ({ readonly kind: 'reset' } & (Place | { readonly direction?: never }))
  | { readonly kind: 'black-hole' }

interface Place {
  readonly direction: Direction
  /** 0 by default. */
  readonly afterBytes?: number
  /** How many connections it may strike before the proxy passes everything again; every one by default. */
  readonly times?: number
}

export interface FaultProxyOptions {
  /** A Unix socket to listen on, in place of a free port of 127.0.0.1. */
  readonly path?: string
  /** The fault to begin with; `pass` by default. */
  readonly fault?: Fault
}

/** One client's connection and the one to the server that belongs to it. */
interface Link {
  readonly client: Socket
  readonly server: Socket
  /** Bytes passed since the fault was set. */
  readonly passed: Record<Direction, number>
  /** The direction that was truncated. */
  readonly truncated: Set<Direction>
  readonly closing: AbortController
  swallowed: boolean
}

/** A proxy in front of a server, which does to its connections what a network or a dying server would. */
export class FaultProxy {
  #target: NetAddress
  readonly #listener: Server
  readonly #links = new Set<Link>()
  #place: NetAddress
  #fault: Fault
  #struck = 0
  #connections = 0

  private constructor(target: NetAddress, { path, fault = { kind: 'pass' } }: FaultProxyOptions) {
    this.#target = target
    this.#fault = fault
    this.#place = path === undefined ? { host: '127.0.0.1', port: 0 } : { path }
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client))
  }

  /** Listens in front of `target`, which need not be there yet. */
  static async start(target: NetAddress, options: FaultProxyOptions = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, options)
    await proxy.accept()
    return proxy
  }

  /** Where it listens. It stays the same over {@link refuse} and {@link accept}. */
  get address(): NetAddress {
    return this.#place
  }

  /** The port of 127.0.0.1 that it listens on. */
  get port(): number {
    if ('path' in this.#place) throw new Error('this proxy listens on a Unix socket')
    return this.#place.port
  }

  /** How many connections it has accepted. */
  get connections(): number {
    return this.#connections
  }

  /** How many connections are open now. */
  get open(): number {
    return this.#links.size
  }

  /** How many connections the present fault has cut, reset or truncated. */
  get struck(): number {
    return this.#struck
  }

  /** Sets what happens from now on, to the connections that are open too. */
  set(fault: Fault): void {
    this.#fault = fault
    this.#struck = 0
    for (const link of this.#links) {
      link.passed['to-server'] = 0
      link.passed['to-client'] = 0
      this.#begin(link)
    }
  }

  /** Leads new connections to another server from now on, as after a failover; open ones stay. */
  retarget(target: NetAddress): void {
    this.#target = target
  }

  /** Refuses new connections by closing the listener, until {@link accept}. Open ones stay. */
  async refuse(): Promise<void> {
    if (!this.#listener.listening) return
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()))
    // The callback waits for the connections as well, which stay.
    if (this.#links.size === 0) await closed
  }

  /** Listens again, on the same address. */
  async accept(): Promise<void> {
    if (this.#listener.listening) return
    this.#listener.listen(
      'path' in this.#place ? { path: this.#place.path } : { ...this.#place, backlog: 1024 },
    )
    await once(this.#listener, 'listening')
    const address = this.#listener.address()
    if (address !== null && typeof address !== 'string')
      this.#place = { host: '127.0.0.1', port: address.port }
  }

  /** Ends every open connection, with a reset where that is possible. */
  resetAll(): void {
    for (const link of this.#links) strike(link, 'reset')
  }

  /** Ends every connection and the listener. */
  async close(): Promise<void> {
    const closed = this.#listener.listening ? once(this.#listener, 'close') : undefined
    if (closed !== undefined) this.#listener.close()
    for (const { client, server } of this.#links) {
      client.destroy()
      server.destroy()
    }
    await closed
  }

  #accept(client: Socket): void {
    this.#connections += 1
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    const link: Link = {
      client,
      server,
      passed: { 'to-server': 0, 'to-client': 0 },
      truncated: new Set(),
      closing: new AbortController(),
      swallowed: false,
    }
    this.#links.add(link)
    const end = (): void => {
      this.#links.delete(link)
      link.closing.abort()
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      // What went wrong on one side is shown to the other as an end of the connection.
      socket.on('error', end)
      socket.on('close', end)
    }
    this.#begin(link)
    void this.#carry(link, 'to-server')
    void this.#carry(link, 'to-client')
  }

  /** The part of a fault that does not wait for bytes. */
  #begin(link: Link): void {
    if (this.#fault.kind === 'black-hole') link.swallowed = true
    if (this.#fault.kind === 'reset' && this.#fault.direction === undefined) this.#strike(link, 'reset')
  }

  async #carry(link: Link, direction: Direction): Promise<void> {
    const [from, to] = direction === 'to-server' ? [link.client, link.server] : [link.server, link.client]
    try {
      for await (const chunk of from) await this.#forward(link, direction, to, chunk as Buffer)
      if (!link.swallowed && !to.writableEnded) to.end()
      // Nobody is left who waits for the answer that does not come.
      else if (link.swallowed && direction === 'to-server') from.destroy()
    } catch {
      // The error has been seen by the socket's own listener, which has ended the link.
    }
  }

  async #forward(link: Link, direction: Direction, to: Socket, chunk: Buffer): Promise<void> {
    const fault = this.#fault
    if (link.swallowed || link.truncated.has(direction)) return
    switch (fault.kind) {
      case 'pass':
      case 'black-hole':
        return write(link, direction, to, chunk)
      case 'delay': {
        if (fault.direction === undefined || fault.direction === direction) {
          const wait = fault.ms + Math.random() * (fault.jitterMs ?? 0)
          await sleep(wait, undefined, { signal: link.closing.signal })
        }
        return write(link, direction, to, chunk)
      }
      case 'throttle':
        return this.#trickle(link, direction, to, chunk, fault.bytesPerSecond)
      case 'cut':
      case 'reset':
      case 'truncate': {
        if (fault.direction !== direction) return write(link, direction, to, chunk)
        const rest = (fault.afterBytes ?? 0) - link.passed[direction]
        // Exactly afterBytes go through; the first byte more is what strikes.
        if (chunk.length <= rest) return write(link, direction, to, chunk)
        if (rest > 0) await write(link, direction, to, chunk.subarray(0, rest))
        this.#strike(link, fault.kind, direction)
      }
    }
  }

  async #trickle(
    link: Link,
    direction: Direction,
    to: Socket,
    chunk: Buffer,
    bytesPerSecond: number,
  ): Promise<void> {
    const slice = Math.max(1, Math.floor(bytesPerSecond / 50))
    const fault = this.#fault
    for (let at = 0; at < chunk.length; at += slice) {
      if (this.#fault !== fault) return this.#forward(link, direction, to, chunk.subarray(at))
      const part = chunk.subarray(at, at + slice)
      await write(link, direction, to, part)
      await sleep((part.length / bytesPerSecond) * 1000, undefined, { signal: link.closing.signal })
    }
  }

  #strike(link: Link, kind: 'cut' | 'reset' | 'truncate', direction?: Direction): void {
    const fault = this.#fault
    // What still arrives on a connection that is ending must not count again.
    if (kind !== 'truncate') link.swallowed = true
    this.#struck += 1
    if ('times' in fault && fault.times !== undefined && this.#struck >= fault.times)
      this.#fault = { kind: 'pass' }
    strike(link, kind, direction)
  }
}

async function write(link: Link, direction: Direction, to: Socket, chunk: Buffer): Promise<void> {
  if (chunk.length === 0 || to.destroyed) return
  link.passed[direction] += chunk.length
  if (!to.write(chunk)) await once(to, 'drain', { signal: link.closing.signal })
}

function strike(link: Link, kind: 'cut' | 'reset' | 'truncate', direction?: Direction): void {
  if (kind === 'truncate' && direction !== undefined) {
    link.truncated.add(direction)
    const to = direction === 'to-server' ? link.server : link.client
    to.end()
    return
  }
  for (const socket of [link.client, link.server]) {
    // Bytes that were passed before the strike must arrive: destroy() drops what the kernel has not taken yet.
    if (kind === 'cut') {
      socket.end(() => socket.destroy())
      // The other side may not read them.
      setTimeout(() => socket.destroy(), 1000).unref()
    }
    // A Unix socket has no address. A socket that is being shut down cannot be reset: Node 24 would never close it, and spin
    // for ever when the process ends.
    else if (socket.remoteAddress === undefined || socket.writableEnded) socket.destroy()
    else socket.resetAndDestroy()
  }
}
