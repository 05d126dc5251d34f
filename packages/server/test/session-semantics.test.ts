import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { type Response, SessionClient, type SessionStream } from './support/session-client.ts'
import { startSidecar } from './support/sidecar.ts'

const data = Buffer.from('of the row')
const getSession = { get_session: { partition_id: 'partition-1' } }
const encrypt = { encrypt: { data } }

/** What a response is: `session`, `record`, `data`, or the text of the error. */
function kind(response: Response): string {
  if (response.error_response !== undefined) return response.error_response.message
  if (response.encrypt_response !== undefined) return 'record'
  return response.decrypt_response === undefined ? 'session' : 'data'
}

describe('a session', () => {
  const tables: [name: string, steps: [request: object, answer: string | RegExp][]][] = [
    [
      'begins with get_session, whose success is an empty message',
      [
        [getSession, 'session'],
        [encrypt, 'record'],
      ],
    ],
    [
      'goes on after a second get_session, with its first partition',
      [
        [getSession, 'session'],
        [getSession, 'session has already been initialized'],
        [encrypt, 'record'],
      ],
    ],
    [
      'can begin after operations that came too early',
      [
        [encrypt, 'session not yet initialized'],
        [{ decrypt: {} }, 'session not yet initialized'],
        [getSession, 'session'],
        [encrypt, 'record'],
      ],
    ],
    [
      'can begin after a get_session that failed',
      [
        [{ get_session: { partition_id: '' } }, 'partition_id is empty'],
        [{ get_session: {} }, 'partition_id is empty'],
        [encrypt, 'session not yet initialized'],
        [{ get_session: { partition_id: 'p'.repeat(257) } }, 'partition_id exceeds 256 bytes'],
        [{ get_session: { partition_id: 'é'.repeat(129) } }, 'partition_id exceeds 256 bytes'],
        [{ get_session: { partition_id: 'a\nb' } }, 'partition_id contains a control character'],
        [{ get_session: { partition_id: '\u007f' } }, 'partition_id contains a control character'],
        [{ get_session: { partition_id: ' \u00e9 ' } }, 'session'],
        [encrypt, 'record'],
      ],
    ],
    [
      'answers an empty message with an error',
      [
        [{}, 'empty request'],
        [getSession, 'session'],
        [{}, 'empty request'],
      ],
    ],
    [
      'refuses a record of which parts are missing',
      [
        [getSession, 'session'],
        [{ decrypt: {} }, 'decrypt request missing data_row_record'],
        [{ decrypt: { data_row_record: {} } }, /^decrypt failed: the data_row_record has no key/],
        [
          { decrypt: { data_row_record: { key: { key: data }, data } } },
          /^decrypt failed: the data_row_record/,
        ],
        [
          { decrypt: { data_row_record: { key: { parent_key_meta: {} } } } },
          /^decrypt failed: .*\(ERR_RECORD_/,
        ],
        [encrypt, 'record'],
      ],
    ],
  ]
  for (const [name, steps] of tables) {
    test(name, async (context) => {
      const { target } = await startSidecar(context)
      using client = new SessionClient(target)
      const stream = client.open()
      // All at once: each has one answer, in order.
      for (const [request] of steps) stream.send(request)
      for (const [, answer] of steps) {
        const got = kind(await stream.next())
        if (typeof answer === 'string') assert.equal(got, answer)
        else assert.match(got, answer)
      }
      assert.equal((await stream.end()).code, 0)
    })
  }

  for (const name of ['an empty id', 'no request at all', 'an operation too early']) {
    test(`that ends after ${name} leaves the server as it was`, async (context) => {
      const { target } = await startSidecar(context)
      using client = new SessionClient(target)
      const stream = client.open()
      if (name === 'an empty id') await stream.ask({ get_session: { partition_id: '' } })
      if (name === 'an operation too early') await stream.ask(encrypt)
      assert.equal((await stream.end()).code, 0)
      assert.equal(kind(await (await client.session('p')).ask(encrypt)), 'record')
    })
  }
})

describe('what is encrypted', () => {
  const payloads: [name: string, payload: Buffer][] = [
    ['no bytes', Buffer.alloc(0)],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28, 0x80])],
    ['every byte', Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
    ['64 KiB', randomBytes(65_536)],
    ['1 MiB, which goes to the thread pool', randomBytes(1 << 20)],
  ]
  for (const [name, payload] of payloads) {
    test(`comes back as it was: ${name}`, async (context) => {
      const { target } = await startSidecar(context)
      using client = new SessionClient(target)
      const stream = await client.session('p')
      const record = await stream.encrypt(payload)
      assert.equal(record.key?.parent_key_meta?.key_id, '_IK_p_svc_prod')
      assert.equal(record.key?.key.length, 60)
      assert.equal(record.data.length, payload.length + 28)
      assert.deepEqual(await stream.decrypt(record), payload)
    })
  }

  test('is opened by its own partition only', async (context) => {
    const { target } = await startSidecar(context)
    using client = new SessionClient(target)
    const record = await (await client.session('mine')).encrypt(data)
    const other = await client.session('yours')
    const refused = await other.ask({ decrypt: { data_row_record: record } })
    assert.match(kind(refused), /^decrypt failed: .*\(ERR_RECORD_FOREIGN\)$/)
    const { key } = record
    const id = (key_id: string, created = key?.parent_key_meta?.created ?? '0') => ({
      ...record,
      key: { ...key, parent_key_meta: { key_id, created } },
    })
    // Characters that JSON escapes must not end the text that the library reads.
    const forged = await other.ask({
      decrypt: { data_row_record: id('_IK_yours_svc_prod","Created":1},"x":"\\') },
    })
    assert.match(kind(forged), /\(ERR_RECORD_FOREIGN\)$/)
  })

  test('is refused after one byte has changed, and the stream goes on', async (context) => {
    const { target } = await startSidecar(context)
    using client = new SessionClient(target)
    const stream = await client.session('p')
    const record = await stream.encrypt(data)
    const changed = Buffer.from(record.data)
    changed.writeUInt8(changed.readUInt8(3) ^ 1, 3)
    const refused = await stream.ask({ decrypt: { data_row_record: { ...record, data: changed } } })
    assert.match(kind(refused), /^decrypt failed: .*\(ERR_RECORD_DATA_AUTHENTICATION\)$/)
    assert.deepEqual(await stream.decrypt(record), data)
  })

  // 2^53 + 1 rounds to 2^53; -1 is all ones.
  for (const created of ['9007199254740993', '-1', '4294967296', '9223372036854775807']) {
    test(`is looked for under the very time that it names: ${created}`, async (context) => {
      const { target } = await startSidecar(context)
      using client = new SessionClient(target)
      const stream = await client.session('p')
      const { key, data: sealed } = await stream.encrypt(data)
      const meta = { key_id: key?.parent_key_meta?.key_id, created }
      const record = { key: { ...key, parent_key_meta: meta }, data: sealed }
      const answer = kind(await stream.ask({ decrypt: { data_row_record: record } }))
      assert.match(answer, /\((ERR_KEY_NOT_FOUND|ERR_RECORD_MALFORMED)\)$/)
    })
  }
})

describe('half-closing', () => {
  test('with answers pending: all of them come, in order, then OK', async (context) => {
    const { target } = await startSidecar(context)
    using client = new SessionClient(target)
    const stream = await client.session('p')
    const records = await Promise.all(
      Array.from({ length: 50 }, (_, index) => stream.encrypt(Buffer.from(`row ${index}`))),
    )
    const again: SessionStream = await client.session('p')
    for (const record of records) again.send({ decrypt: { data_row_record: record } })
    // On the thread pool, so that the end is seen long before the answer is there.
    again.send({ encrypt: { data: Buffer.alloc(4 << 20, 1) } })
    again.send({ encrypt: { data } })
    again.call.end()
    for (let index = 0; index < 50; index++) {
      assert.equal((await again.next()).decrypt_response?.data?.toString(), `row ${index}`)
    }
    assert.equal((await again.next()).encrypt_response?.data_row_record.data.length, (4 << 20) + 28)
    assert.equal(kind(await again.next()), 'record')
    assert.equal((await again.status).code, 0)
  })
})
