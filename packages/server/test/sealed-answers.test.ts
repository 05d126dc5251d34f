import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AsherahSession, SessionFactory } from 'asherah'
import fc from 'fast-check'
import { prefixBytes } from '../src/grpc/frame-reader.ts'
import { SealedAnswers } from '../src/session/sealed-answers.ts'
import { decodedRecord } from '../src/session/session-messages.ts'

/** Long enough for several seconds to begin, and for the key to expire in between. */
const wholeMs = 3_500

test('an answer holds its own record, whatever was answered before it', async () => {
  const factory = new SessionFactory({
    serviceName: 's',
    productId: 'p',
    metastore: 'memory',
    kms: 'static',
    staticMasterKeyHex: '5c'.repeat(32),
    expireAfter: 1,
    checkInterval: 1,
    createdPrecision: 1,
  })
  const session = factory.getSession('user')
  const answers = new SealedAnswers(session)
  const lengths = fc.array(fc.constantFrom(0, 1, 63, 64, 64, 64, 127, 128, 4000, 4200), { minLength: 20 })
  const parents = new Set<string>()
  let atOnce = 0
  let turn = 0
  for (const end = performance.now() + wholeMs; performance.now() < end; turn++) {
    const given = new Map<Buffer, Buffer>()
    for (const [index, bytes] of (fc.sample(lengths, { numRuns: 1, seed: turn })[0] ?? []).entries()) {
      const data = Buffer.alloc(bytes, index)
      // The data plane reads a clock that lags by a scheduler tick, 10 ms at most.
      const from = Math.floor((Date.now() - 20) / 1000)
      const answer = answers.seal(data)
      if (answer === undefined) {
        // The key is not at hand: what the sidecar does then brings it.
        await session.encryptAsync(data)
        continue
      }
      const created = Number(decodedRecord(answer.subarray(prefixBytes)).key.created)
      assert.ok(created >= from && created <= Date.now() / 1000)
      given.set(answer, data)
    }
    // Only now, so that an answer that shares memory with a later one would show.
    for (const [answer, data] of given) {
      assert.equal(answer[0], 0)
      assert.equal(answer.readUInt32BE(1), answer.length - prefixBytes)
      const { key } = decodedRecord(answer.subarray(prefixBytes))
      parents.add(key.parent_key_meta.created.toString())
      assert.deepEqual(await opened(session, answer), data)
      atOnce += 1
    }
    await sleep(50)
  }
  assert.ok(atOnce > 100, `only ${atOnce} answers were sealed at once`)
  assert.ok(parents.size > 1, 'the key was never rotated')
  await factory.closeAsync()
})

function opened(session: AsherahSession, answer: Buffer): Promise<Buffer> {
  const { key, data } = decodedRecord(answer.subarray(prefixBytes))
  const parent = key.parent_key_meta
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  return session.decryptAsync(
    JSON.stringify({
      Key: {
        Created: Number(key.created),
        Key: base64(key.key),
        ParentKeyMeta: { KeyId: parent.key_id, Created: Number(parent.created) },
      },
      Data: base64(data),
    }),
  )
}
