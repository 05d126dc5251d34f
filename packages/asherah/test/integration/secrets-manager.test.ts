import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { FaultProxy } from '../../../../tests/support/servers/fault-proxy.ts'
import { createSecret, MotoServer, putSecretValue } from '../../../../tests/support/servers/moto.ts'
import { SecretsManagerKms, type SecretsManagerOptions } from '../../src/kms/secrets-manager.ts'
import { codeOf, open } from '../support/world.ts'

const region = 'us-west-2'
const bytes32 = new Uint8Array(randomBytes(32))
const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')

let moto: MotoServer
let proxy: FaultProxy

before(async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' })
  moto = await MotoServer.start()
  proxy = await FaultProxy.start({ host: '127.0.0.1', port: Number(new URL(moto.endpoint).port) })
})

after(async () => {
  await proxy.close()
  await moto.remove()
})

function kmsOf(secretId: string, more: Partial<SecretsManagerOptions> = {}): SecretsManagerKms {
  return new SecretsManagerKms({ secretId, region, endpoint: moto.endpoint, ...more })
}

test('a secret of text and one of bytes seal as a static key does', async () => {
  const key = randomBytes(32)
  for (const value of [hex(key), `0x${hex(key)}\n`, new Uint8Array(key)]) {
    const kms = kmsOf(await createSecret(moto.endpoint, region, value))
    const sealed = await kms.encryptKey(bytes32)
    assert.deepEqual(open(sealed, key), Buffer.from(bytes32))
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
    kms.close()
  }
})

test('the SDK sees an empty secret, whoever made the client', async () => {
  const key = randomBytes(32)
  for (const value of [`\t${hex(key)}\n`, new Uint8Array(key)]) {
    const outputs: { SecretString?: string; SecretBinary?: Uint8Array }[] = []
    const client = new SecretsManagerClient({ region, endpoint: moto.endpoint })
    client.middlewareStack.add(
      (next) => async (given) => {
        const answer = await next(given)
        outputs.push(answer.output as (typeof outputs)[number])
        return answer
      },
      { step: 'initialize' },
    )
    const kms = kmsOf(await createSecret(moto.endpoint, region, value), { client })
    assert.deepEqual(open(await kms.encryptKey(bytes32), key), Buffer.from(bytes32))
    assert.equal(outputs.length, 1)
    assert.equal(outputs[0]?.SecretString ?? '', '')
    assert.equal(outputs[0]?.SecretBinary?.length ?? 0, 0)
    client.destroy()
  }
})

test('the secret is changed twice under a running process, and another one starts', async () => {
  const keys = [randomBytes(32), randomBytes(32), randomBytes(32)] as const
  const secret = await createSecret(moto.endpoint, region, hex(keys[0]))
  const kms = kmsOf(secret, { checkIntervalSeconds: 0.05 })
  const sealed = [await kms.encryptKey(bytes32)]
  for (const key of keys.slice(1)) {
    await putSecretValue(moto.endpoint, region, secret, new Uint8Array(key))
    await new Promise((resolve) => setTimeout(resolve, 60))
    sealed.push(await kms.encryptKey(bytes32))
  }
  for (const [index, key] of keys.entries()) {
    assert.deepEqual(open(sealed[index] ?? bytes32, key), Buffer.from(bytes32))
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed[index] ?? bytes32)), Buffer.from(bytes32))
    // Each one afresh: current, previous, and the one that only its id leads to.
    const other = kmsOf(secret)
    assert.deepEqual(
      Buffer.from(await other.decryptKey(sealed[index] ?? bytes32)),
      Buffer.from(bytes32),
      String(index),
    )
    other.close()
  }
  kms.close()
})

test('a secret that is not there, and a service that does not answer', async () => {
  await assert.rejects(kmsOf('no-such-secret').encryptKey(bytes32), {
    code: 'ERR_KMS',
    message: /ResourceNotFoundException/,
  })
  const secret = await createSecret(moto.endpoint, region, hex(randomBytes(32)))
  const endpoint = `http://127.0.0.1:${proxy.port}`
  const kms = kmsOf(secret, { endpoint, queryTimeoutMs: 300 })
  proxy.set({ kind: 'black-hole' })
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_TIMEOUT')
  proxy.set({ kind: 'pass' })
  const sealed = await kms.encryptKey(bytes32)
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
  kms.close()
})
