import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { emptyString, findString, unescapeInPlace } from '../../src/kms/json-bytes.ts'
import { base64Length, collectBytes, readBase64, readHex, writeBase64 } from '../../src/kms/secret-text.ts'
import { wiping } from '../../src/kms/wiping-agent.ts'

const ascii = fc.string({ unit: 'binary-ascii' })
const name = fc.constantFrom('data', 'plaintext', 'Plaintext', 'x', '', 'a"b', 'é')

function textAt(bytes: Uint8Array, path: readonly string[]): string | undefined {
  const copy = Uint8Array.from(bytes)
  const span = findString(copy, path)
  const content = span === undefined ? undefined : unescapeInPlace(copy, span)
  return content === undefined ? undefined : Buffer.from(content).toString()
}

test('findString agrees with JSON.parse on any JSON text', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.double(),
      fc.constant(null),
      fc.boolean(),
      fc.array(tie('any'), { maxLength: 4 }),
      fc.dictionary(name, tie('any'), { maxKeys: 5 }),
    ),
  })).any
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 6 }), ascii, fc.nat(8), (others, text, indent) => {
      const whole = { ...others, data: { ...others, plaintext: text }, Plaintext: text }
      const bytes = Buffer.from(JSON.stringify(whole, undefined, indent))
      assert.equal(textAt(bytes, ['Plaintext']), text)
      assert.equal(textAt(bytes, ['data', 'plaintext']), text)
      assert.equal(textAt(bytes, ['data', 'nothing']), undefined)
      assert.equal(textAt(bytes, ['data']), undefined)
    }),
  )
})

test('what was found is emptied, and the text stays JSON with everything else in it', () => {
  fc.assert(
    fc.property(fc.dictionary(name, fc.anything({ maxDepth: 2 }), { maxKeys: 4 }), ascii, (others, text) => {
      const whole = { ...others, Plaintext: text, z: 1 }
      const bytes = Buffer.from(JSON.stringify(whole))
      const span = findString(bytes, ['Plaintext'])
      assert.ok(span !== undefined)
      emptyString(bytes, span)
      assert.deepEqual(JSON.parse(bytes.toString()), { ...JSON.parse(JSON.stringify(whole)), Plaintext: '' })
    }),
  )
})

test('no text makes findString throw, hang or read beyond its end', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc
          .string({
            unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', ':', ',', 'a', ' ', '1'),
            maxLength: 30,
          })
          .map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        const span = findString(bytes, ['a'])
        if (span === undefined) return
        assert.ok(span.start <= span.end && span.end < bytes.length)
        unescapeInPlace(bytes, span)
      },
    ),
    { numRuns: 2000 },
  )
})

test('escapes are undone, and those beyond ASCII refused', () => {
  const content = (escaped: string) => textAt(Buffer.from(`{"a":"${escaped}"}`), ['a'])
  assert.equal(content('\\/\\"\\\\\\b\\f\\n\\r\\t\\u0041\\u007f\\u000a'), '/"\\\b\f\n\r\tA\u007f\n')
  for (const escaped of ['\\u0080', '\\u1234', '\\x', '\\u00', '\\u00g0', '\\u00A'])
    assert.equal(content(escaped), undefined)
})

test('base64 is what Node makes of it, both ways', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const out = new Uint8Array(base64Length(bytes.length) + 2).fill(0x21)
      writeBase64(bytes, out, 1)
      const text = Buffer.from(bytes).toString('base64')
      assert.equal(Buffer.from(out).toString(), `!${text}!`)
      assert.deepEqual(readBase64(Buffer.from(text)), bytes.length === 0 ? undefined : Uint8Array.from(bytes))
    }),
  )
})

test('only canonical base64 is read', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'AQgw=+/-_ \n'), maxLength: 12 }), (text) => {
      const bytes = Buffer.from(text, 'base64')
      const expected = text !== '' && bytes.toString('base64') === text ? Uint8Array.from(bytes) : undefined
      assert.deepEqual(readBase64(Buffer.from(text)), expected, JSON.stringify(text))
    }),
    { numRuns: 2000 },
  )
})

test('hexadecimal text in any dress', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 40 }),
      fc.boolean(),
      fc.constantFrom('', '0x', '0X'),
      fc.constantFrom('', ' ', '\n'),
      (bytes, upper, front, space) => {
        const digits = Buffer.from(bytes).toString('hex')
        const text = `${space}${front}${[...(upper ? digits.toUpperCase() : digits)].join(space)}${space}`
        assert.deepEqual(readHex(Buffer.from(text)), Uint8Array.from(bytes))
      },
    ),
  )
  assert.match(String(readHex(Buffer.from('abc'))), /odd/)
  assert.match(String(readHex(Buffer.from('0xx0'))), /hexadecimal/)
  assert.match(String(readHex(Buffer.from('a0x0'))), /hexadecimal/)
})

test('a body is gathered into memory of its own, and its pieces overwritten; too long a one too', async () => {
  const pieces = [Uint8Array.of(1, 2), Uint8Array.of(), Uint8Array.of(3)]
  const body = async function* () {
    yield* pieces
  }
  assert.deepEqual(await collectBytes(body(), 3), Uint8Array.of(1, 2, 3))
  assert.deepEqual(pieces, [Uint8Array.of(0, 0), Uint8Array.of(), Uint8Array.of(0)])
  const long = Uint8Array.of(1, 2, 3, 4)
  await assert.rejects(
    collectBytes(
      (async function* () {
        yield long
      })(),
      3,
    ),
    RangeError,
  )
  assert.deepEqual(long, new Uint8Array(4))
})

test('a wiping agent overwrites what its sockets received, and spoils no answer', async () => {
  const server = createServer((_, response) => {
    response.write('secret-')
    setTimeout(() => response.end('x'.repeat(100_000)), 5)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const agent = wiping(new Agent({ keepAlive: true, maxSockets: 1 }))
  const raw: Uint8Array[] = []
  try {
    for (let round = 0; round < 5; round += 1) {
      const call = request({ port, host: '127.0.0.1', agent })
      call.on('socket', (socket) => {
        const keep = (chunk: Uint8Array): void => {
          raw.push(chunk)
        }
        socket.on('data', keep)
        call.once('close', () => socket.off('data', keep))
      })
      call.end()
      const [response] = (await once(call, 'response')) as [AsyncIterable<Buffer>]
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk)
      assert.equal(Buffer.concat(chunks).toString(), `secret-${'x'.repeat(100_000)}`)
      // A turn, so that the connection is free for the next round.
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.ok(raw.length >= 10)
    for (const chunk of raw) assert.ok(chunk.every((byte) => byte === 0))
  } finally {
    agent.destroy()
    server.close()
  }
})
