import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { encryptMessage, frame, getSessionMessage, outcome, RawClient } from './support/raw-client.ts'
import { SessionClient } from './support/session-client.ts'
import { memoryFlags, startSidecar, temporaryFolder } from './support/sidecar.ts'
import { SidecarProcess } from './support/sidecar-process.ts'

const data = Buffer.from('of the row')
const MiB = 1024 * 1024

test('a thousand streams are served, and cost little while they are idle', {
  timeout: 60_000,
}, async (context) => {
  const socketFile = join(temporaryFolder(context), 's')
  const sidecar = await SidecarProcess.start(context, { ...memoryFlags, socketFile })
  using client = new SessionClient(`unix:${socketFile}`)
  const streams = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => client.session(`partition-${index}`)),
  )
  const records = await Promise.all(streams.map((stream) => stream.encrypt(data)))
  assert.equal(new Set(records.map((record) => record.key?.parent_key_meta?.key_id)).size, 1000)
  const answers = await Promise.all(
    streams.map((stream, index) => stream.decrypt(records[index] ?? assert.fail())),
  )
  assert.ok(answers.every((answer) => answer.equals(data)))
  const megabytes = Math.round(sidecar.residentBytes / 1e6)
  context.diagnostic(
    `${megabytes} MB with 1,000 idle streams, the compiler of this test's sources among them`,
  )
  assert.ok(megabytes < 300, `${megabytes} MB`)
  const ends = await Promise.all(streams.map((stream) => stream.end()))
  assert.ok(ends.every(({ code }) => code === 0))
})

test('a client that does not read is not read from: memory stays bounded', {
  timeout: 60_000,
}, async (context) => {
  const socketFile = join(temporaryFolder(context), 's')
  const sidecar = await SidecarProcess.start(context, { ...memoryFlags, socketFile, stallTimeout: '3s' })
  using client = new RawClient(socketFile)
  const stream = client.request()
  const ended = new Promise<number>((resolve) => stream.once('close', () => resolve(stream.rstCode)))
  stream.write(frame(getSessionMessage))
  const request = frame(encryptMessage(Buffer.alloc(32_768, 1)))
  // Nobody reads the answers. What the server does not take stays here.
  stream.pause()
  const before = sidecar.residentBytes
  for (let sent = 0; sent < 4000; sent++) stream.write(request)
  await sleep(1500)
  const grown = sidecar.residentBytes - before
  assert.ok(grown < 60 * MiB, `${Math.round(grown / MiB)} MiB more for 125 MiB of requests`)
  assert.ok(stream.writableLength > 100 * MiB, 'the requests were taken')
  // The others are served meanwhile, and this one is cut off in the end.
  using other = new SessionClient(`unix:${socketFile}`)
  assert.ok(await (await other.session('p')).encrypt(data))
  stream.on('data', () => undefined)
  assert.equal(typeof (await ended), 'number')
})

test('a client that stops reading for a while, then reads on, is read from again', {
  timeout: 60_000,
}, async (context) => {
  const socketFile = join(temporaryFolder(context), 's')
  await SidecarProcess.start(context, { ...memoryFlags, socketFile })
  const data = Buffer.alloc(16_000, 1)
  // How many requests fill the way back depends on buffers of both sides: each number is tried, alone on a connection.
  const answered = Array.from({ length: 24 }, async (_, filling) => {
    using client = new RawClient(socketFile)
    const stream = client.request()
    let bytes = 0
    stream.write(frame(getSessionMessage))
    stream.pause()
    for (let sent = 0; sent < filling; sent++) stream.write(frame(encryptMessage(data)))
    await sleep(100)
    // The one piece that the server takes while it may not answer.
    stream.write(frame(encryptMessage(data)))
    await sleep(100)
    stream.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    stream.resume()
    await sleep(100)
    // More than the window of a stream, so that it has to be opened again.
    for (let sent = 0; sent < 20; sent++) stream.write(frame(encryptMessage(data)))
    stream.end()
    const closed = new Promise<void>((resolve) => stream.once('close', resolve))
    await Promise.race([closed, sleep(10_000, undefined, { ref: false })])
    return bytes > (filling + 21) * data.length
  })
  assert.deepEqual(
    await Promise.all(answered),
    Array.from(answered, () => true),
  )
})

describe('a limit', () => {
  test('of streams: one more is refused by name, and free again afterwards', async (context) => {
    const { target } = await startSidecar(context, { maxStreams: '2' })
    // Over two connections, since HTTP/2 itself makes a client wait beyond the limit of one.
    using client = new SessionClient(target)
    using other = new SessionClient(target)
    const held = [await client.session('a'), await client.session('b')]
    const { code, details } = await other.open().status
    assert.deepEqual([code, details], [8, 'the server has 2 streams, as many as it may'])
    await Promise.all(held.map((stream) => stream.end()))
    assert.ok(await (await other.session('a')).encrypt(data))
  })

  test('of bytes in flight: large messages take turns, and none is lost', {
    timeout: 60_000,
  }, async (context) => {
    const { target } = await startSidecar(context, { maxBytesInFlight: '65MiB' })
    using client = new SessionClient(target)
    const sizes = [40, 1, 40, 30, 2, 60]
    const records = await Promise.all(
      sizes.map(async (size) => (await client.session('p')).encrypt(Buffer.alloc(size * MiB, size))),
    )
    assert.deepEqual(
      records.map((record) => record.data.length),
      sizes.map((size) => size * MiB + 28),
    )
  })

  test('of a message: 65 MiB are taken by the protocol, and 64 of data by the library', {
    timeout: 60_000,
  }, async (context) => {
    const { target } = await startSidecar(context)
    using client = new SessionClient(target)
    const stream = await client.session('p')
    const refused = await stream.ask({ encrypt: { data: Buffer.alloc(64 * MiB + 1) } })
    assert.match(
      refused.error_response?.message ?? '',
      /^encrypt failed: .*64 MiB.*\(ERR_PAYLOAD_TOO_LARGE\)$/,
    )
    assert.ok(await stream.encrypt(data))
    stream.send({ encrypt: { data: Buffer.alloc(65 * MiB) } })
    assert.equal((await stream.status).code, 8)
  })

  test('of idleness: ends what rests, not what works', { timeout: 20_000 }, async (context) => {
    const { target } = await startSidecar(context, { idleTimeout: '1s' })
    using client = new SessionClient(target)
    const idle = await client.session('idle')
    const busy = await client.session('busy')
    const working = setInterval(() => void busy.encrypt(data), 100)
    context.after(() => clearInterval(working))
    const { code, details } = await idle.status
    assert.deepEqual([code, /idle/.test(details)], [14, true])
    assert.ok(await busy.encrypt(data))
    clearInterval(working)
  })

  test('of stalling: ends what never finishes its message', { timeout: 20_000 }, async (context) => {
    const { address } = await startSidecar(context, { stallTimeout: '1s' })
    using client = new RawClient(address.socket)
    const stream = client.request()
    const result = outcome(stream)
    stream.write(frame(Buffer.alloc(10), 0, 60 * MiB))
    const { status, message } = await result
    assert.deepEqual([status, /rest of its message/.test(message)], ['4', true])
  })
})
