import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { promisify } from 'node:util'
import { startSidecar } from '../../../packages/server/test/support/sidecar.ts'
import { prepareGrpcClients } from '../../support/servers/grpc-clients.ts'
import { runTool } from '../../support/servers/tool.ts'

const clients = await prepareGrpcClients()
const service = 'asherah.apps.server.AppEncryption'

interface Answer {
  readonly encryptResponse?: { readonly dataRowRecord: { readonly data: string } }
  readonly decryptResponse?: { readonly data?: string }
  readonly errorResponse?: { readonly message: string }
}

/** Sends the requests one after the other over one stream, and answers with the responses. */
async function talk(
  [command = '', ...args]: readonly string[],
  target: string,
  requests: readonly object[],
): Promise<Answer[]> {
  const running = promisify(execFile)(command, [...args, target], { timeout: 60_000, maxBuffer: 256 << 20 })
  running.child.stdin?.end(requests.map((request) => `${JSON.stringify(request)}\n`).join(''))
  const { stdout } = await running
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Answer)
}

describe('a client over', () => {
  const kinds = { grpcio: clients.python, 'grpc-go': clients.go }
  for (const [name, command] of Object.entries(kinds)) {
    test(`${name}, written from the protocol, encrypts and decrypts`, {
      timeout: 60_000,
    }, async (context) => {
      const { target } = await startSidecar(context)
      const payload = randomBytes(300).toString('base64')
      const begun = await talk(command, target, [
        { encrypt: { data: payload } },
        { getSession: { partitionId: '' } },
        { getSession: { partitionId: 'tenant' } },
        { getSession: { partitionId: 'tenant' } },
        { encrypt: { data: payload } },
        { encrypt: {} },
      ])
      assert.deepEqual(
        begun.slice(0, 4).map((answer) => answer.errorResponse?.message),
        [
          'session not yet initialized',
          'partition_id is empty',
          undefined,
          'session has already been initialized',
        ],
      )
      const [, , , , record, empty] = begun
      const others = name === 'grpcio' ? clients.go : clients.python
      const [, data, nothing] = await talk(others, target, [
        { getSession: { partitionId: 'tenant' } },
        { decrypt: record?.encryptResponse },
        { decrypt: empty?.encryptResponse },
      ])
      assert.equal(data?.decryptResponse?.data, payload)
      assert.deepEqual(nothing?.decryptResponse, {})
    })

    test(`${name} sends and gets the largest message`, { timeout: 90_000 }, async (context) => {
      const { target } = await startSidecar(context)
      const payload = Buffer.alloc(64 * 1024 * 1024, 'x').toString('base64')
      const answers = await talk(command, target, [
        { getSession: { partitionId: 'tenant' } },
        { encrypt: { data: payload } },
      ])
      assert.equal(
        answers[1]?.encryptResponse?.dataRowRecord.data.length,
        4 * Math.ceil((64 * 1024 * 1024 + 28) / 3),
      )
    })
  }
})

describe('grpcurl', () => {
  test('lists, describes and calls by reflection alone', { timeout: 60_000 }, async (context) => {
    const { address } = await startSidecar(context, { tcpAddress: '127.0.0.1:0' })
    const tcp = address.tcp ?? ''
    const grpcurl = (...args: readonly string[]): Promise<string> =>
      runTool(clients.grpcurl, ['-plaintext', ...args])
    assert.deepEqual((await grpcurl(tcp, 'list')).trim().split('\n'), [
      service,
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ])
    assert.match(
      await grpcurl(tcp, 'describe', service),
      /rpc Session \( stream \.asherah\.apps\.server\.SessionRequest/,
    )
    const message = await grpcurl(tcp, 'describe', 'asherah.apps.server.EnvelopeKeyRecord')
    assert.match(
      message,
      /int64 created = 1;\s+bytes key = 2;\s+\.asherah\.apps\.server\.KeyMeta parent_key_meta = 3;/,
    )
    assert.match(await grpcurl(tcp, 'grpc.health.v1.Health/Check'), /"status": "SERVING"/)
    const requests = '{"get_session":{"partition_id":"p"}} {"encrypt":{"data":"AAEC"}}'
    const session = await grpcurl('-d', requests, tcp, `${service}/Session`)
    assert.match(session, /^\{\}\s+\{\s+"encryptResponse"/)
    assert.match(session, /"keyId": "_IK_p_svc_prod"/)
  })

  test('reaches the Unix socket', { timeout: 60_000 }, async (context) => {
    const { address } = await startSidecar(context)
    const listed = await runTool(clients.grpcurl, ['-plaintext', '-unix', address.socket, 'list'])
    assert.match(listed, new RegExp(service))
  })
})

describe('ghz', () => {
  test('puts load on every stream, without one error', { timeout: 60_000 }, async (context) => {
    const { target } = await startSidecar(context)
    const report = await runTool(clients.ghz, [
      '--insecure',
      ...['--call', `${service}.Session`, '-n', '2000', '-c', '20', '--connections', '4', '-O', 'json'],
      ...['-d', '[{"get_session":{"partition_id":"p"}},{"encrypt":{"data":"AAEC"}}]'],
      target.replace('unix:', 'unix://'),
    ])
    const { count, statusCodeDistribution } = JSON.parse(report) as {
      readonly count: number
      readonly statusCodeDistribution: Readonly<Record<string, number>>
    }
    assert.equal(count, 2000)
    assert.deepEqual(statusCodeDistribution, { OK: 2000 })
  })
})
