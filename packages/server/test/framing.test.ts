import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Metadata } from '@grpc/grpc-js'
import {
  encryptMessage,
  frame,
  getSessionMessage,
  outcome,
  RawClient,
  unframed,
} from './support/raw-client.ts'
import { SessionClient } from './support/session-client.ts'
import { startSidecar } from './support/sidecar.ts'

const begun = frame(getSessionMessage)
const encrypted = frame(encryptMessage(Buffer.from('of the row')))

describe('a request is refused', () => {
  const post = { ':method': 'POST' }
  const table: [name: string, headers: Readonly<Record<string, string>>, http: number, status?: string][] = [
    ['with another method', { ':method': 'PUT' }, 405],
    ['with another content type', { ...post, 'content-type': 'application/json' }, 415],
    ['with a content type that only begins alike', { ...post, 'content-type': 'application/grpc-web' }, 415],
    ['for a method that does not exist', { ':path': '/asherah.apps.server.AppEncryption/Other' }, 200, '12'],
    ['for no method', { ':path': '/' }, 200, '12'],
    ['with a compression', { 'grpc-encoding': 'gzip' }, 200, '12'],
    ['with a malformed deadline', { 'grpc-timeout': '5 seconds' }, 200, '13'],
  ]
  for (const [name, headers, http, status] of table) {
    test(name, async (context) => {
      const { address } = await startSidecar(context)
      using client = new RawClient(address.socket)
      const stream = client.request(headers)
      const result = await outcome(stream)
      assert.equal(result.headers[':status'], http)
      assert.equal(result.status, status)
      assert.equal(result.reset, 0)
      if (headers['grpc-encoding'] !== undefined) {
        assert.equal(result.headers['grpc-accept-encoding'], 'identity')
        assert.match(result.message, /gzip/)
      }
      // The connection serves on.
      const next = client.request()
      next.end(Buffer.concat([begun, encrypted]))
      assert.equal((await outcome(next)).status, '0')
    })
  }
})

describe('a call ends with a status', () => {
  const table: [name: string, sent: Buffer, status: string, message: RegExp, answers?: number][] = [
    ['for a message marked as compressed', frame(getSessionMessage, 1), '13', /compressed/],
    ['for a flag that is none', frame(getSessionMessage, 7), '13', /byte 7/],
    [
      'for an announced length beyond the limit',
      frame(Buffer.alloc(0), 0, 65 * 1024 * 1024 + 1),
      '8',
      /68157441 bytes/,
    ],
    ['for the longest length there is', frame(Buffer.alloc(0), 0, 0xffff_ffff), '8', /larger/],
    ['for a message that is no protobuf', frame(Buffer.from('0aff', 'hex')), '13', /no SessionRequest/],
    ['for a group that never ends', frame(Buffer.from('0b', 'hex')), '13', /no SessionRequest/],
    ['for the end within a prefix', Buffer.concat([begun, Buffer.from([0, 0])]), '13', /within a message/, 1],
    ['for the end within a message', Buffer.concat([begun, encrypted.subarray(0, -1)]), '13', /within/, 1],
    [
      'after what came before was answered',
      Buffer.concat([begun, encrypted, frame(begun, 9)]),
      '13',
      /byte 9/,
      2,
    ],
    ['well, without any message', Buffer.alloc(0), '0', /^$/, 0],
  ]
  for (const [name, sent, status, message, answers = 0] of table) {
    test(name, async (context) => {
      const { address } = await startSidecar(context)
      using client = new RawClient(address.socket)
      const stream = client.request()
      const result = outcome(stream)
      stream.end(sent)
      const { status: got, message: text, body, reset } = await result
      assert.equal(got, status)
      assert.match(text, message)
      assert.equal(unframed(body).length, answers)
      assert.equal(reset, 0)
    })
  }

  test('while the client still sends, which is told to stop', { timeout: 20_000 }, async (context) => {
    const { address } = await startSidecar(context)
    using client = new RawClient(address.socket)
    const stream = client.request()
    const result = outcome(stream)
    stream.write(frame(Buffer.alloc(0), 5))
    const { status, reset } = await result
    assert.deepEqual([status, reset], ['13', 0])
  })
})

test('messages may be cut anywhere and may follow each other in one piece', {
  timeout: 30_000,
}, async (context) => {
  const { address } = await startSidecar(context)
  using client = new RawClient(address.socket)
  const all = Buffer.concat([
    begun,
    encrypted,
    encrypted,
    frame(encryptMessage(Buffer.alloc(40_000, 1))),
    encrypted,
  ])
  for (const size of [1, 2, 3, 7, 4096, all.length]) {
    const stream = client.request()
    const result = outcome(stream)
    // Byte by byte only where messages are short: each is a DATA frame.
    const cut = size < 8 ? 300 : 0
    for (let at = 0; at < cut; at += size) stream.write(all.subarray(at, Math.min(at + size, cut)))
    for (let at = cut; at < all.length; at += Math.max(size, 4096))
      stream.write(all.subarray(at, at + Math.max(size, 4096)))
    stream.end()
    const { status, body } = await result
    assert.equal(status, '0')
    assert.deepEqual(
      unframed(body).map((message) => message.length > 1),
      [false, true, true, true, true],
    )
  }
})

test('of several requests in one message the last one counts', async (context) => {
  const { address } = await startSidecar(context)
  using client = new RawClient(address.socket)
  const encrypt = encryptMessage(Buffer.from('of the row'))
  const table: [sent: Buffer, answer: RegExp | 'record' | 'begun'][] = [
    [Buffer.concat([encrypt, getSessionMessage]), 'begun'],
    [Buffer.concat([getSessionMessage, encrypt]), 'record'],
    [Buffer.concat([encrypt, getSessionMessage, encrypt]), 'record'],
    [Buffer.concat([encrypt, getSessionMessage]), /session has already been initialized/],
  ]
  const stream = client.request()
  const result = outcome(stream)
  for (const [sent] of table) stream.write(frame(sent))
  stream.end()
  const { status, body } = await result
  assert.equal(status, '0')
  const answers = unframed(body)
  assert.equal(answers.length, table.length)
  for (const [index, [, expected]] of table.entries()) {
    const answer = answers[index] ?? Buffer.alloc(0)
    if (expected === 'begun') assert.equal(answer.length, 0)
    else if (expected === 'record') assert.match(answer.toString('latin1'), /_IK_p_/)
    else assert.match(answer.toString('latin1'), expected)
  }
})

test('any :authority is taken', async (context) => {
  const { address } = await startSidecar(context)
  using client = new RawClient(address.socket)
  for (const authority of ['localhost', 'example.com:80', '%2Ftmp%2Fappencryption.sock', '[::1]', 'a_b~c']) {
    const stream = client.request({ ':authority': authority })
    const result = outcome(stream)
    stream.end(begun)
    assert.equal((await result).status, '0', authority)
  }
})

describe('a deadline', () => {
  test('ends a call that waits', { timeout: 20_000 }, async (context) => {
    const { address, target } = await startSidecar(context)
    using raw = new RawClient(address.socket)
    const stream = raw.request({ 'grpc-timeout': '100m' })
    const result = outcome(stream)
    stream.write(begun)
    assert.equal((await result).status, '4')
    using client = new SessionClient(target)
    const { status } = client.open({ deadline: Date.now() + 100 })
    assert.equal((await status).code, 4)
  })

  test('that is far away, or over already, is understood', { timeout: 20_000 }, async (context) => {
    const { address } = await startSidecar(context)
    using raw = new RawClient(address.socket)
    for (const [timeout, status] of [
      ['99999999H', '0'],
      ['0n', '4'],
      ['1000000u', '0'],
      ['30S', '0'],
    ] as const) {
      const stream = raw.request({ 'grpc-timeout': timeout })
      const result = outcome(stream)
      stream.write(begun)
      if (status === '0') stream.end()
      assert.equal((await result).status, status, timeout)
    }
  })
})

test('a call that is cancelled leaves nothing behind, with work under way too', {
  timeout: 20_000,
}, async (context) => {
  const { target } = await startSidecar(context, { maxStreams: '2' })
  using client = new SessionClient(target)
  for (let round = 0; round < 20; round++) {
    const stream = await client.session('p')
    stream.send({ encrypt: { data: Buffer.alloc(2 << 20) } })
    stream.call.cancel()
    assert.equal((await stream.status).code, 1)
  }
  assert.ok(await (await client.session('p')).encrypt(Buffer.from('x')))
})

test('what is no HTTP/2 harms nobody else', { timeout: 20_000 }, async (context) => {
  const { address, target } = await startSidecar(context)
  for (const text of [
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    '\0'.repeat(100),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff',
  ]) {
    const socket = connect(address.socket)
    socket.on('error', () => undefined)
    socket.write(text, 'latin1')
    await Promise.race([once(socket, 'close'), sleep(300)])
    socket.destroy()
  }
  using client = new SessionClient(target)
  assert.ok(await (await client.session('p')).encrypt(Buffer.from('x')))
})

test('metadata of any kind is taken', async (context) => {
  const { target } = await startSidecar(context)
  using client = new SessionClient(target)
  const metadata = new Metadata()
  metadata.set('trace-bin', Buffer.from([0, 255]))
  metadata.set('authorization', 'Bearer x')
  const stream = client.open({ metadata })
  assert.deepEqual(await stream.ask({ get_session: { partition_id: 'p' } }), {})
})
