import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { FaultProxy, type NetAddress } from '../support/servers/fault-proxy.ts'

const folder = mkdtempSync(join(tmpdir(), 'asherah-proxy-'))

/** What the echo server has been sent, over all connections. */
let received = 0
let echo: Server
let target: NetAddress
let proxy: FaultProxy

before(async () => {
  echo = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      received += chunk.length
      socket.write(chunk)
    })
    socket.on('end', () => socket.end())
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const address = echo.address()
  assert.ok(address !== null && typeof address === 'object')
  target = { host: '127.0.0.1', port: address.port }
})

beforeEach(async (context) => {
  received = 0
  proxy = await FaultProxy.start(target)
  assert.ok('after' in context)
  context.after(() => proxy.close())
})

after(() => {
  echo.close()
  rmSync(folder, { recursive: true })
})

interface Outcome {
  readonly bytes: Buffer
  /** The error's code, or `end`. */
  readonly how: string
}

async function open(address: NetAddress = proxy.address): Promise<Socket> {
  const socket = connect({ ...address, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** Reads until the connection is over. */
function outcome(socket: Socket): Promise<Outcome> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  return new Promise((resolve) => {
    const finish = (how: string) => resolve({ bytes: Buffer.concat(chunks), how })
    socket.on('end', () => finish('end'))
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message))
  })
}

async function exchange(socket: Socket, bytes: Uint8Array): Promise<Buffer> {
  socket.write(bytes)
  const chunks: Buffer[] = []
  let length = 0
  while (length < bytes.length) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    chunks.push(chunk)
    length += chunk.length
  }
  return Buffer.concat(chunks)
}

describe('a fault proxy', { timeout: 30_000 }, () => {
  test('passes bytes both ways, counts connections and ends with either side', async () => {
    const payload = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251))
    const socket = await open()
    const over = outcome(socket)
    socket.end(payload)
    const { bytes, how } = await over
    assert.equal(how, 'end')
    assert.ok(bytes.equals(payload))
    assert.equal(proxy.connections, 1)
    await until(() => proxy.open === 0)
  })

  test('delays, and passes again', async () => {
    const socket = await open()
    await exchange(socket, Buffer.from('warm'))
    proxy.set({ kind: 'delay', ms: 80, jitterMs: 20 })
    const start = performance.now()
    await exchange(socket, Buffer.from('slow'))
    // Once on the way there and once on the way back; timers may be a millisecond early.
    assert.ok(performance.now() - start >= 158)
    proxy.set({ kind: 'delay', ms: 60_000, direction: 'to-client' })
    socket.write('never seen')
    await until(() => received === 18)
    socket.destroy()
    await until(() => proxy.open === 0)
  })

  test('throttles', async () => {
    const socket = await open()
    proxy.set({ kind: 'throttle', bytesPerSecond: 20_000 })
    const start = performance.now()
    assert.equal((await exchange(socket, Buffer.alloc(4000))).length, 4000)
    const elapsed = performance.now() - start
    assert.ok(elapsed >= 180 && elapsed < 5000, `${elapsed} ms`)
    socket.destroy()
  })

  test('cuts after so many bytes, in either direction', async () => {
    for (const direction of ['to-server', 'to-client'] as const) {
      received = 0
      proxy.set({ kind: 'cut', direction, afterBytes: 7 })
      const socket = await open()
      const over = outcome(socket)
      socket.write('0123456789')
      const { bytes, how } = await over
      assert.equal(how, 'end')
      if (direction === 'to-client') assert.equal(bytes.toString(), '0123456')
      await until(() => received === (direction === 'to-client' ? 10 : 7))
      assert.equal(proxy.struck, 1)
      socket.destroy()
    }
  })

  test('loses the answer to what was done, as often as asked, on a connection that is open', async () => {
    const socket = await open()
    await exchange(socket, Buffer.from('warm'))
    proxy.set({ kind: 'cut', direction: 'to-client', times: 1 })
    const over = outcome(socket)
    socket.write('insert')
    assert.deepEqual(await over, { bytes: Buffer.alloc(0), how: 'end' })
    assert.equal(received, 10)
    const second = await open()
    assert.equal((await exchange(second, Buffer.from('again'))).toString(), 'again')
    socket.destroy()
    second.destroy()
  })

  test('resets: at once, and after so many bytes', async () => {
    const old = await open()
    await exchange(old, Buffer.from('warm'))
    const over = outcome(old)
    proxy.set({ kind: 'reset' })
    assert.equal((await over).how, 'ECONNRESET')
    // The reset may come before or after the client has learned that it was connected.
    const young = await open().then(outcome, (error: NodeJS.ErrnoException) => ({ how: error.code }))
    assert.equal(young.how, 'ECONNRESET')
    proxy.set({ kind: 'reset', direction: 'to-client', afterBytes: 2 })
    const socket = await open()
    const broken = outcome(socket)
    socket.write('0123')
    assert.equal((await broken).how, 'ECONNRESET')
    proxy.set({ kind: 'pass' })
    const next = await open()
    assert.equal((await exchange(next, Buffer.from('fine'))).toString(), 'fine')
    const last = outcome(next)
    proxy.resetAll()
    assert.equal((await last).how, 'ECONNRESET')
  })

  test('truncates one direction and leaves the other', async () => {
    proxy.set({ kind: 'truncate', direction: 'to-client', afterBytes: 3 })
    const socket = await open()
    const over = outcome(socket)
    socket.write('abcdef')
    const { bytes, how } = await over
    assert.equal(how, 'end')
    assert.equal(bytes.toString(), 'abc')
    socket.write('ghi')
    await until(() => received === 9)
    socket.destroy()
  })

  test('is a black hole for a connection as long as it lasts', async () => {
    const old = await open()
    await exchange(old, Buffer.from('warm'))
    proxy.set({ kind: 'black-hole' })
    const young = await open()
    const silent = [old, young].map(outcome)
    old.write('lost')
    young.write('lost')
    await sleep(50)
    proxy.set({ kind: 'pass' })
    old.write('lost')
    const answer = await Promise.race([...silent, sleep(100)])
    assert.equal(answer, undefined)
    assert.equal(received, 4)
    assert.equal(proxy.open, 2)
    old.destroy()
    young.destroy()
  })

  test('refuses and accepts on the same address', async () => {
    const kept = await open()
    await exchange(kept, Buffer.from('warm'))
    await proxy.refuse()
    await assert.rejects(open(), { code: 'ECONNREFUSED' })
    assert.equal((await exchange(kept, Buffer.from('open'))).toString(), 'open')
    await proxy.accept()
    const socket = await open()
    assert.equal((await exchange(socket, Buffer.from('back'))).toString(), 'back')
    kept.destroy()
    socket.destroy()
  })

  test('shows a server that is away as an end of the connection', async () => {
    const dead = await FaultProxy.start({ path: join(folder, 'nobody') })
    const socket = await open(dead.address)
    const { how } = await outcome(socket)
    assert.ok(how === 'end' || how === 'ECONNRESET', how)
    await dead.close()
  })

  test('works on Unix sockets, where a reset is a cut', async () => {
    const path = join(folder, 'proxy')
    const unix = await FaultProxy.start(target, { path })
    const socket = await open({ path })
    assert.equal((await exchange(socket, Buffer.from('unix'))).toString(), 'unix')
    const over = outcome(socket)
    unix.set({ kind: 'reset' })
    assert.equal((await over).how, 'end')
    assert.throws(() => unix.port, /Unix socket/)
    await unix.close()
  })

  test('closes with connections open', async () => {
    const socket = await open()
    await exchange(socket, Buffer.from('warm'))
    const over = outcome(socket)
    await proxy.close()
    await over
    await assert.rejects(open(), { code: 'ECONNREFUSED' })
    assert.equal(proxy.open, 0)
  })
})

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000
  while (!condition()) {
    assert.ok(performance.now() < end, 'it did not come about in 5 s')
    await sleep(2)
  }
}
