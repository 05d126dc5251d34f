import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { AsherahError } from '../../src/errors.ts'
import { SecretsManagerKms, type SecretsManagerOptions } from '../../src/kms/secrets-manager.ts'
import { codeOf, open, seal } from '../support/world.ts'
import { serviceError } from './fake-kms.ts'

const bytes32 = Uint8Array.from({ length: 32 }, (_, index) => 255 - index)
const testKey = Buffer.from('thisIsAStaticMasterKeyForTesting')

type Value = string | Uint8Array

/** A secret with versions, the last one current, behind the SDK's client interface. */
class FakeSecret {
  readonly versions: { id: string; value: Value }[] = []
  /** `AWSCURRENT`, `AWSPREVIOUS`, `list` or a version's id, a call. */
  readonly calls: string[] = []
  readonly failing = new Map<string, unknown>()
  /** The binary values that were answered, as the same objects. */
  readonly lent: Uint8Array[] = []
  region = 'us-west-2'
  destroyed = false

  constructor(...values: Value[]) {
    for (const value of values) this.put(value)
  }

  put(value: Value): void {
    this.versions.push({ id: `version-${this.versions.length}`, value })
  }

  get client(): SecretsManagerClient {
    const client = {
      config: { region: async () => this.region },
      send: async ({ input }: { input: { VersionStage?: string; VersionId?: string; SecretId: string } }) =>
        this.#answer(input),
      destroy: () => {
        this.destroyed = true
      },
    }
    return client as unknown as SecretsManagerClient
  }

  async #answer(input: { VersionStage?: string; VersionId?: string }): Promise<object> {
    const call = input.VersionStage ?? input.VersionId ?? 'list'
    this.calls.push(call)
    await new Promise((resolve) => setImmediate(resolve))
    const failure = this.failing.get(call)
    if (failure !== undefined) throw failure
    if (call === 'list') {
      // In no particular order.
      const all = this.versions.map(({ id }, index) => ({
        VersionId: id,
        CreatedDate: new Date(index * 1000),
      }))
      return { Versions: all.toSorted((one, other) => one.VersionId.localeCompare(other.VersionId)) }
    }
    const found =
      call === 'AWSCURRENT'
        ? this.versions.at(-1)
        : call === 'AWSPREVIOUS'
          ? this.versions.at(-2)
          : this.versions.find(({ id }) => id === call)
    if (found === undefined) throw serviceError('ResourceNotFoundException')
    const { id, value } = found
    if (typeof value === 'string') return { VersionId: id, SecretString: value }
    const lent = Uint8Array.from(value)
    this.lent.push(lent)
    return { VersionId: id, SecretBinary: lent }
  }
}

function kmsOf(secret: FakeSecret, more: Partial<SecretsManagerOptions> = {}): SecretsManagerKms {
  return new SecretsManagerKms({ secretId: 'master', client: secret.client, ...more })
}

const hex = (key: Uint8Array): string => Buffer.from(key).toString('hex')
const newKey = (): Buffer => randomBytes(32)

test('text and bytes give the same key, sealed as a static key seals', async () => {
  const sealed = seal(bytes32, testKey)
  const text = hex(testKey)
  const forms: Value[] = [
    text,
    text.toUpperCase(),
    ` ${text}\r\n`,
    `0x${text}`,
    `0X${text}`,
    `\t0x ${text.replaceAll(/(..)/g, '$1 ')}`,
    `0x${text.slice(0, 20)}\n${text.slice(20)}\n`,
    testKey,
  ]
  for (const form of forms) {
    const kms = kmsOf(new FakeSecret(form))
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32), String(form))
    const own = await kms.encryptKey(bytes32)
    assert.equal(own.length, 60)
    assert.deepEqual(open(own, testKey), Buffer.from(bytes32))
    kms.close()
  }
})

test('a secret that is no key is an error that does not show it', async () => {
  const text = hex(testKey)
  const cases: (readonly [Value, RegExp])[] = [
    [text.slice(1), /odd number/],
    [text.slice(2), /has 31 bytes/],
    [`${text}00`, /has 33 bytes/],
    [`${text.slice(2)}zz`, /not hexadecimal/],
    [`{"key":"${text}"}`, /odd number|not hexadecimal/],
    ['0x', /has 0 bytes/],
    [' ', /has 0 bytes/],
    ['', /neither text nor bytes/],
    [new Uint8Array(0), /neither text nor bytes/],
    [testKey.subarray(1), /has 31 bytes/],
    [testKey.toString(), /not hexadecimal/],
  ]
  for (const [value, problem] of cases) {
    await assert.rejects(kmsOf(new FakeSecret(value)).encryptKey(bytes32), (error: unknown) => {
      assert.ok(error instanceof AsherahError)
      assert.equal(error.code, 'ERR_KMS')
      assert.match(error.message, problem)
      assert.ok(!`${error.message} ${String(error.cause)}`.includes(text.slice(4, 20)))
      return true
    })
  }
})

test('the secret is read once for many calls, until its check is due', async () => {
  const secret = new FakeSecret(newKey())
  const kms = kmsOf(secret, { checkIntervalSeconds: 0.05 })
  const [sealed = new Uint8Array()] = await Promise.all(
    Array.from({ length: 20 }, () => kms.encryptKey(bytes32)),
  )
  await kms.decryptKey(sealed)
  assert.deepEqual(secret.calls, ['AWSCURRENT'])
  await new Promise((resolve) => setTimeout(resolve, 60))
  await Promise.all([kms.decryptKey(sealed), kms.encryptKey(bytes32)])
  assert.deepEqual(secret.calls, ['AWSCURRENT', 'AWSCURRENT'])
})

test('a new version seals from the check on, and old system keys stay readable without another call', async () => {
  const [first, second] = [newKey(), newKey()]
  const secret = new FakeSecret(first)
  const kms = kmsOf(secret, { checkIntervalSeconds: 0.02 })
  const old = await kms.encryptKey(bytes32)
  secret.put(hex(second))
  await new Promise((resolve) => setTimeout(resolve, 30))
  const fresh = await kms.encryptKey(bytes32)
  assert.deepEqual(open(fresh, second), Buffer.from(bytes32))
  assert.deepEqual(Buffer.from(await kms.decryptKey(old)), Buffer.from(bytes32))
  assert.ok(
    secret.calls.every((call) => call === 'AWSCURRENT'),
    secret.calls.join(),
  )
})

test('a process that starts after changes finds the version that sealed, by label and then by id, newest first', async () => {
  const keys = Array.from({ length: 5 }, newKey)
  const secret = new FakeSecret(...keys)
  const kms = kmsOf(secret)
  const sealedBy = (index: number) => seal(bytes32, keys[index] ?? testKey)
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealedBy(3))), Buffer.from(bytes32))
  assert.deepEqual(secret.calls.splice(0), ['AWSCURRENT', 'AWSCURRENT', 'AWSPREVIOUS'])
  assert.deepEqual(Buffer.from(await kms.decryptKey(sealedBy(1))), Buffer.from(bytes32))
  assert.deepEqual(secret.calls.splice(0), ['AWSCURRENT', 'AWSPREVIOUS', 'list', 'version-2', 'version-1'])
  // What was found is held.
  await kms.decryptKey(sealedBy(1))
  await kms.decryptKey(sealedBy(3))
  assert.deepEqual(secret.calls.splice(0), [])
})

test('what another process sealed under a newer version is opened before the check is due', async () => {
  const [first, second] = [newKey(), newKey()]
  const secret = new FakeSecret(first)
  const kms = kmsOf(secret)
  await kms.encryptKey(bytes32)
  secret.put(second)
  assert.deepEqual(Buffer.from(await kms.decryptKey(seal(bytes32, second))), Buffer.from(bytes32))
  assert.deepEqual(secret.calls, ['AWSCURRENT', 'AWSCURRENT'])
})

test('what no version opens is an error after a bounded number of calls', async () => {
  const secret = new FakeSecret(...Array.from({ length: 40 }, newKey))
  const kms = kmsOf(secret)
  await assert.rejects(
    kms.decryptKey(seal(bytes32, newKey())),
    /opens a system key with none of its versions/,
  )
  assert.ok(secret.calls.length <= 24, String(secret.calls.length))
  const before = secret.calls.length
  for (const length of [0, 59, 61, 300])
    assert.equal(await codeOf(() => kms.decryptKey(new Uint8Array(length))), 'ERR_KMS')
  assert.equal(secret.calls.length, before)
})

test('without the right to list, the current and the previous version still work', async () => {
  const keys = Array.from({ length: 3 }, newKey)
  const secret = new FakeSecret(...keys)
  secret.failing.set('list', serviceError('AccessDeniedException'))
  const kms = kmsOf(secret)
  assert.deepEqual(Buffer.from(await kms.decryptKey(seal(bytes32, keys[1] ?? testKey))), Buffer.from(bytes32))
  await assert.rejects(
    kms.decryptKey(seal(bytes32, keys[0] ?? testKey)),
    /AccessDeniedException.*ListSecretVersionIds/,
  )
})

test('while the secret cannot be looked up, what is held serves on; without anything held it is an error', async () => {
  const key = newKey()
  const secret = new FakeSecret(key)
  const kms = kmsOf(secret, { checkIntervalSeconds: 0.01 })
  const sealed = await kms.encryptKey(bytes32)
  secret.failing.set('AWSCURRENT', serviceError('InternalServiceError'))
  await new Promise((resolve) => setTimeout(resolve, 15))
  for (let round = 0; round < 5; round += 1) {
    assert.deepEqual(Buffer.from(await kms.decryptKey(sealed)), Buffer.from(bytes32))
    await kms.encryptKey(bytes32)
  }
  // One failure, then a pause.
  assert.deepEqual(secret.calls, ['AWSCURRENT', 'AWSCURRENT'])
  await assert.rejects(kmsOf(secret).encryptKey(bytes32), /could not be read \(InternalServiceError/)
})

test('binary values are overwritten once they are in guarded memory', async () => {
  const secret = new FakeSecret(newKey(), newKey(), newKey())
  const kms = kmsOf(secret)
  await kms.encryptKey(bytes32)
  await codeOf(() => kms.decryptKey(new Uint8Array(60)))
  assert.ok(secret.lent.length >= 4)
  for (const bytes of secret.lent) assert.ok(bytes.every((byte) => byte === 0))
})

test('options that do not fit, a missing region, and close', async () => {
  assert.throws(() => new SecretsManagerKms({ secretId: '' }), { code: 'ERR_CONFIG_INVALID' })
  for (const checkIntervalSeconds of [0, -1, Number.NaN]) {
    assert.throws(() => new SecretsManagerKms({ secretId: 'x', checkIntervalSeconds }), {
      code: 'ERR_CONFIG_INVALID',
    })
  }
  const secret = new FakeSecret(newKey())
  secret.region = ''
  assert.equal(
    await codeOf(() => SecretsManagerKms.open({ secretId: 'x', client: secret.client })),
    'ERR_CONFIG_INVALID',
  )
  secret.region = 'us-west-2'
  const kms = await SecretsManagerKms.open({ secretId: 'x', client: secret.client })
  const sealed = await kms.encryptKey(bytes32)
  kms.close()
  kms.close()
  assert.equal(await codeOf(() => kms.encryptKey(bytes32)), 'ERR_CLOSED')
  assert.equal(await codeOf(() => kms.decryptKey(sealed)), 'ERR_CLOSED')
  assert.equal(secret.destroyed, false)
})
