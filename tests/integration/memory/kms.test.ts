import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, type TestContext } from 'node:test'
import type { AsherahConfig } from 'asherah'
import { KeyPatterns, type NamedKey } from '../../support/key-patterns.ts'
import { scanProcess, summary } from '../../support/memory-scanner.ts'
import { keysOf, MemorySubject, sqliteRows } from '../../support/memory-subject.ts'
import { type OracleMaster, type OracleRow, openAwsEnvelope, readAwsEnvelope } from '../../support/oracle.ts'
import { callAws } from '../../support/servers/aws-json.ts'
import { createKmsKeys, createSecret } from '../../support/servers/moto.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { VaultServer } from '../../support/servers/vault.ts'

interface Kms {
  readonly config: Pick<AsherahConfig, 'kms'> & { readonly kms: string } & Partial<AsherahConfig>
  readonly env: NodeJS.ProcessEnv
  /** How the oracle unwraps the system keys of these rows, and what other keys there were on the way. */
  readonly open: (
    rows: readonly OracleRow[],
  ) => Promise<{ master: OracleMaster; others: readonly NamedKey[] }>
  /** What is expected, and documented, to be found outside the arena, as `system key, base64`. */
  readonly leaves: readonly string[]
}

describe('keys in the memory of a process with a KMS in the network', {
  skip: process.platform === 'linux' ? false : 'needs /proc',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-memory-'))
  after(() => rmSync(folder, { recursive: true }))
  const { certificates, moto } = testServers()
  const region = 'us-west-2'
  const aws = {
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: region,
    AWS_ENDPOINT_URL: moto.endpoint,
  }

  it('are in the arena alone with AWS KMS, in two regions', { timeout: 60_000 }, async (context) => {
    const regionMap = await createKmsKeys(moto.endpoint, [region, 'us-east-1'])
    await search(context, {
      config: { kms: 'aws', regionMap, preferredRegion: region },
      env: aws,
      open: async (rows) => {
        const dataKeys = new Map<string, Buffer>()
        for (const text of systemKeyRows(rows).map((wrapped) => wrapped.toString())) {
          const { encryptedKek } =
            readAwsEnvelope(text).kmsKeks.get(region) ?? assert.fail('an entry of the region')
          const { Plaintext } = await callAws<{ Plaintext: string }>(
            { endpoint: moto.endpoint, region, service: 'kms' },
            'TrentService.Decrypt',
            { CiphertextBlob: encryptedKek.toString('base64') },
          )
          dataKeys.set(text, Buffer.from(Plaintext, 'base64'))
        }
        return {
          master: (wrapped) =>
            openAwsEnvelope(String(wrapped), dataKeys.get(String(wrapped)) ?? assert.fail('a data key')),
          others: [...dataKeys.values()].map((bytes) => ({ name: 'data key of KMS', bytes })),
        }
      },
      leaves: ['data key of KMS, base64'],
    })
  })

  it('are in the arena alone with Secrets Manager', { timeout: 60_000 }, async (context) => {
    const master = randomBytes(32)
    const secretsManagerSecretId = await createSecret(moto.endpoint, region, master.toString('hex'))
    await search(context, {
      config: { kms: 'secrets-manager', secretsManagerSecretId },
      env: aws,
      open: async () => ({
        master: master.toString('hex'),
        others: [{ name: 'master key', bytes: master }],
      }),
      leaves: ['master key, hex'],
    })
  })

  it('are in the arena alone with Vault, but for what its answer leaves', {
    timeout: 60_000,
  }, async (context) => {
    const vault = await VaultServer.start({
      tls: {
        cert: readFileSync(certificates.server.certificate, 'utf8'),
        key: readFileSync(certificates.server.key, 'utf8'),
      },
    })
    context.after(() => vault.close())
    vault.transit().create('asherah')
    await search(context, {
      config: {
        kms: 'vault',
        vaultAddr: vault.address,
        vaultTransitKey: 'asherah',
        vaultToken: vault.rootToken,
        vaultCaCert: certificates.authority,
      },
      env: {},
      open: async () => ({
        master: (wrapped) => {
          const answer = vault.transit().decrypt('asherah', { ciphertext: wrapped.toString() })
          return Buffer.from((answer as { plaintext: string }).plaintext, 'base64')
        },
        others: [],
      }),
      leaves: ['system key, base64'],
    })
  })

  async function search(context: TestContext, kms: Kms): Promise<void> {
    const connectionString = join(folder, `${kms.config.kms}.db`)
    const config = {
      serviceName: 'api',
      productId: 'catalog',
      metastore: 'sqlite',
      connectionString,
      ...kms.config,
    }
    const work = {
      records: 1000,
      partitions: 20,
      file: join(folder, `${kms.config.kms}.records`),
      synchronous: true,
    }
    const subject = await MemorySubject.start(kms.env)
    context.after(() => subject.kill())
    await subject.open(config)
    await subject.encrypt(work)
    const rows = sqliteRows(connectionString)
    const { master, others } = await kms.open(rows)
    const patterns = new KeyPatterns([...keysOf(master, rows, work.file), ...others])
    const look = async (when: string): Promise<void> => {
      const { hits } = await scanProcess(subject.pid, patterns)
      const outside = hits.filter(({ arena }) => !arena)
      context.diagnostic(`outside the arena ${when}: ${summary(outside).join('; ') || 'nothing'}`)
      assert.deepEqual(
        outside.filter(({ name, form }) => !kms.leaves.includes(`${name}, ${form}`)),
        [],
        when,
      )
      assert.ok(hits.some(({ name, arena }) => arena && name === 'system key') || when === 'when closed')
    }
    await look('after encryption')
    await subject.close()
    await look('when closed')
    await subject.open(config)
    await subject.warm(['tenant-0'])
    await look('after a key was loaded')
    await subject.decrypt(work)
    await look('after decryption')
    await subject.close()
    await subject.end()
  }
})

/** What the KMS made of the system keys. */
function systemKeyRows(rows: readonly OracleRow[]): Buffer[] {
  return rows
    .filter(({ id }) => id.startsWith('_SK_'))
    .map(({ keyRecord }) => Buffer.from((JSON.parse(keyRecord) as { Key: string }).Key, 'base64'))
}
