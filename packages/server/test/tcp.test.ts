import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { credentials, type ServiceError } from '@grpc/grpc-js'
import { createCertificates } from '../../../tests/support/servers/certificates.ts'
import { SessionClient, serviceClient } from './support/session-client.ts'
import { startSidecar, temporaryFolder } from './support/sidecar.ts'

const data = Buffer.from('of the row')
const Health = serviceClient('grpc/health/v1/health.proto', 'grpc.health.v1.Health')

describe('TCP', () => {
  test('without TLS serves a loopback address', async (context) => {
    const { address } = await startSidecar(context, { tcpAddress: 'localhost:0' })
    assert.match(address.tcp ?? '', /^127\.0\.0\.1:\d+$/)
    using client = new SessionClient(address.tcp ?? '')
    const stream = await client.session('p')
    assert.deepEqual(await stream.decrypt(await stream.encrypt(data)), data)
  })

  test('with mutual TLS takes certified clients only', { timeout: 30_000 }, async (context) => {
    const certificates = await createCertificates(temporaryFolder(context))
    const { address } = await startSidecar(context, {
      tcpAddress: '0.0.0.0:0',
      tlsCert: certificates.server.certificate,
      tlsKey: certificates.server.key,
      tlsClientCa: certificates.authority,
    })
    const target = `localhost:${address.tcp?.split(':')[1]}`
    const ca = readFileSync(certificates.authority)
    const pem = ({ key, certificate }: { key: string; certificate: string }) =>
      [readFileSync(key), readFileSync(certificate)] as const
    const certified = new SessionClient(target, credentials.createSsl(ca, ...pem(certificates.client)))
    context.after(() => certified.close())
    const stream = await certified.session('p')
    assert.deepEqual(await stream.decrypt(await stream.encrypt(data)), data)
    const others = {
      'no certificate': credentials.createSsl(ca),
      "a stranger's certificate": credentials.createSsl(ca, ...pem(certificates.untrusted)),
      'an old certificate': credentials.createSsl(ca, ...pem(certificates.expired)),
      'no TLS': credentials.createInsecure(),
    }
    for (const [name, security] of Object.entries(others)) {
      using client = new SessionClient(target, security)
      const { code } = await client.open({ deadline: Date.now() + 3000 }).status
      assert.ok(code === 14 || code === 4, `${name}: ${code}`)
    }
    assert.ok(await stream.encrypt(data))
  })

  test('with a certificate that cannot be used says so', async (context) => {
    const missing = join(temporaryFolder(context), 'missing.pem')
    const flags = { tcpAddress: '0.0.0.0:0', tlsCert: missing, tlsKey: missing, tlsClientCa: missing }
    await assert.rejects(startSidecar(context, flags), {
      code: 'ERR_LISTEN',
      message: /missing\.pem.*ENOENT.*--tls-cert/,
    })
    const flagsOfText = {
      ...flags,
      tlsCert: import.meta.filename,
      tlsKey: import.meta.filename,
      tlsClientCa: import.meta.filename,
    }
    await assert.rejects(startSidecar(context, flagsOfText), { code: 'ERR_LISTEN', message: /--tls-cert/ })
  })
})

describe('grpc.health.v1', () => {
  const check = (target: string, service: string): Promise<{ status: string }> => {
    const client = new Health(target, credentials.createInsecure())
    return new Promise<{ status: string }>((resolve, reject) => {
      client['Check']?.({ service }, (error: ServiceError | null, answer: { status: string }) =>
        error === null ? resolve(answer) : reject(error),
      )
    }).finally(() => client.close())
  }

  test('knows the server, its service, and no other', async (context) => {
    const { target } = await startSidecar(context)
    assert.equal((await check(target, '')).status, 'SERVING')
    assert.equal((await check(target, 'asherah.apps.server.AppEncryption')).status, 'SERVING')
    await assert.rejects(check(target, 'other'), { code: 5 })
  })

  test('tells watchers when the server is about to go', { timeout: 20_000 }, async (context) => {
    const { target, close } = await startSidecar(context)
    const client = new Health(target, credentials.createInsecure())
    context.after(() => client.close())
    const seen = (service: string, count: number): Promise<string[]> =>
      new Promise((resolve) => {
        const states: string[] = []
        const watch = client['Watch']?.({ service })
        watch.on('error', () => undefined)
        watch.on('data', ({ status }: { status: string }) => {
          states.push(status)
          if (states.length === 1 && service === '') void close()
          if (states.length === count) resolve(states)
        })
      })
    const [unknown, known] = await Promise.all([seen('other', 1), seen('', 2)])
    assert.deepEqual(unknown, ['SERVICE_UNKNOWN'])
    assert.deepEqual(known, ['SERVING', 'NOT_SERVING'])
  })

  test('has an address of its own, where nothing else is served', async (context) => {
    const { address } = await startSidecar(context, { healthAddress: '0.0.0.0:0' })
    const target = `127.0.0.1:${address.health?.split(':')[1]}`
    assert.equal((await check(target, '')).status, 'SERVING')
    using client = new SessionClient(target)
    assert.equal((await client.open().status).code, 12)
  })
})
