import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { createKmsKeys, createSecret, putSecretValue } from '../../support/servers/moto.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { VaultServer } from '../../support/servers/vault.ts'
import { CommandFolder, jsonLines } from './command-process.ts'
import { type Planted, startFront, testPlanted, withoutRight } from './planted-fault.ts'

/** Faults of each KMS, planted in a real server, and what the doctor says of them. */

const { endpoint } = testServers().moto
const west = 'us-west-2'
const east = 'us-east-1'
const store = { serviceName: 'api', productId: 'catalog', metastore: 'memory' }

async function aws(
  change: (arns: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
  finds: Planted['finds'],
): Promise<Planted> {
  const regionMap = change(await createKmsKeys(endpoint, [west, east]))
  return { config: { ...store, kms: 'aws', regionMap, preferredRegion: west }, finds }
}

async function secretsManager(
  secret: string | Uint8Array | undefined,
  finds: Planted['finds'],
): Promise<Planted> {
  const name = secret === undefined ? 'not-there' : await createSecret(endpoint, west, secret)
  return {
    config: { ...store, kms: 'secrets-manager', secretsManagerSecretId: name },
    environment: { AWS_REGION: west },
    finds,
  }
}

let vault: VaultServer

before(async () => {
  vault = await VaultServer.start()
  vault.transit().create('asherah')
})

after(() => vault.close())

function vaultWith(change: object, finds: Planted['finds']): Planted {
  const token = { vaultToken: vault.issueToken() }
  return {
    config: {
      ...store,
      kms: 'vault',
      vaultAddr: vault.address,
      vaultTransitKey: 'asherah',
      ...token,
      ...change,
    },
    finds,
  }
}

/** The same, with a server in front that changes what `variable` leads to. */
async function behind(
  planted: Planted,
  variable: string,
  front: ReturnType<typeof startFront>,
): Promise<Planted> {
  const { address, close } = await front
  return { ...planted, environment: { ...planted.environment, [variable]: address }, end: close }
}

describe('doctor of AWS KMS', { timeout: 120_000 }, () => {
  testPlanted({
    'a key of one region that is not there': () =>
      aws(
        (arns) => ({ ...arns, [east]: `${arns[east]}0` }),
        ['fault', `KMS: ${east}`, /NotFoundException/, /ERR_KMS/],
      ),
    'no right to decrypt': async () =>
      behind(
        await aws((arns) => arns, ['fault', `KMS: ${west}`, /AccessDeniedException/, /ERR_KMS/]),
        'AWS_ENDPOINT_URL_KMS',
        startFront(endpoint, 0, withoutRight('TrentService.Decrypt')),
      ),
    'a clock that is two minutes ahead': async () =>
      behind(
        await aws(
          (arns) => arns,
          ['fault', 'KMS: clock', /AWS KMS in us-west-2 is 1[12]\d(\.\d)? s ahead/, /NTP/],
        ),
        'AWS_ENDPOINT_URL_KMS',
        startFront(endpoint, 120),
      ),
  })
})

describe('doctor of Secrets Manager', { timeout: 120_000 }, () => {
  testPlanted({
    'a secret that is not there': () =>
      secretsManager(undefined, [
        'fault',
        'KMS: secrets-manager',
        /ResourceNotFoundException.*Check secretsManagerSecretId/,
        /ERR_KMS/,
      ]),
    'a secret that is no key': () =>
      secretsManager('hidden', [
        'fault',
        'KMS: secrets-manager',
        /is not hexadecimal; it must be 64/,
        /ERR_KMS/,
      ]),
    'no right to read it': async () =>
      behind(
        await secretsManager(randomBytes(32), [
          'fault',
          'KMS: secrets-manager',
          /AccessDeniedException.*GetSecretValue/,
          /ERR_KMS/,
        ]),
        'AWS_ENDPOINT_URL_SECRETS_MANAGER',
        startFront(endpoint, 0, withoutRight('secretsmanager.GetSecretValue')),
      ),
    'a clock that is a minute behind': async () =>
      behind(
        await secretsManager(randomBytes(32), [
          'fault',
          'KMS: clock',
          /Secrets Manager is [56]\d(\.\d)? s behind/,
          /NTP/,
        ]),
        'AWS_ENDPOINT_URL_SECRETS_MANAGER',
        startFront(endpoint, -60),
      ),
  })
})

describe('doctor of Vault', { timeout: 120_000 }, () => {
  testPlanted({
    'a token that nobody issued': () =>
      vaultWith({ vaultToken: 'hvs.hidden' }, ['fault', 'KMS: vault', /403.*invalid token/, /ERR_KMS/]),
    'a transit key that is not there': () =>
      vaultWith({ vaultTransitKey: 'other' }, ['fault', 'KMS: vault', /encryption key not found/, /ERR_KMS/]),
    'no right to decrypt': () =>
      vaultWith({ vaultToken: vault.issueToken({ paths: ['auth/token/', 'transit/encrypt/'] }) }, [
        'fault',
        'KMS: vault',
        /403.*transit\/decrypt\/asherah/,
        /ERR_KMS/,
      ]),
    'a seal': () => {
      vault.set({ kind: 'sealed' })
      return {
        ...vaultWith({}, ['fault', 'KMS: vault', /Vault is sealed\. Unseal Vault/, /ERR_KMS/]),
        end: () => vault.set({ kind: 'healthy' }),
      }
    },
    'a clock that is a minute ahead': async () => {
      const { address, close } = await startFront(vault.address, 60)
      return {
        ...vaultWith({ vaultAddr: address }, [
          'fault',
          'KMS: clock',
          /Vault is [56]\d(\.\d)? s ahead/,
          /NTP/,
        ]),
        end: close,
      }
    },
  })
})

test('doctor finds nothing where each KMS is right', { timeout: 60_000 }, async (context) => {
  const secret = await createSecret(endpoint, west, randomBytes(32))
  const folder = new CommandFolder({ AWS_REGION: west })
  context.after(() => folder.remove())
  const kms = {
    'secrets-manager': { secretsManagerSecretId: secret },
    vault: {
      vaultAddr: vault.address,
      vaultTransitKey: 'asherah',
      vaultToken: vault.issueToken({ paths: ['auth/token/', 'transit/encrypt/', 'transit/decrypt/'] }),
    },
  }
  for (const [name, settings] of Object.entries(kms)) {
    folder.write('asherah.json', { ...store, kms: name, ...settings })
    const { code, stdout, stderr } = await folder.run('doctor', '--json')
    assert.equal(code, 0, stdout + stderr)
    const ofKms = jsonLines(stdout).filter(({ check }) => String(check).startsWith('KMS'))
    assert.deepEqual(
      ofKms.map(({ check, level }) => [check, level]),
      [
        [`KMS: ${name}`, 'ok'],
        ['KMS: clock', 'ok'],
      ],
    )
  }
})

test('doctor says that the system keys were sealed by another secret', {
  timeout: 60_000,
}, async (context) => {
  const secret = await createSecret(endpoint, west, randomBytes(32))
  const folder = new CommandFolder({ AWS_REGION: west })
  context.after(() => folder.remove())
  const sqlite = { ...store, metastore: 'sqlite', connectionString: 'keys.db' }
  folder.write('asherah.json', { ...sqlite, kms: 'secrets-manager', secretsManagerSecretId: secret })
  assert.equal((await folder.run('bench', '--yes', '--sizes', '1', '--time', '1ms')).code, 5)
  assert.equal((await folder.run('init', '--yes')).code, 0)
  assert.equal((await folder.run('bench', '--yes', '--sizes', '1', '--time', '1ms')).code, 0)
  // An older version of the same secret is still asked for; another secret has none that opens them.
  await putSecretValue(endpoint, west, secret, randomBytes(32))
  assert.equal((await folder.run('doctor')).code, 0)
  const other = await createSecret(endpoint, west, randomBytes(32))
  folder.write('asherah.json', { ...sqlite, kms: 'secrets-manager', secretsManagerSecretId: other })
  const { code, stdout } = await folder.run('doctor', '--json')
  const found = jsonLines(stdout).find(({ check }) => check === 'keys: system keys')
  assert.deepEqual([code, found?.['level']], [4, 'fault'])
  assert.match(String(found?.['mend']), /asherah keys rewrap/)
})
