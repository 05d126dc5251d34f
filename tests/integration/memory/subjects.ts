import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AsherahConfig } from 'asherah'
import type { NamedKey } from '../../support/key-patterns.ts'
import { type MemorySubject, ownKmsOpens, sqliteRows } from '../../support/memory-subject.ts'
import { type OracleMaster, type OracleRow, openAwsEnvelope, readAwsEnvelope } from '../../support/oracle.ts'
import { callAws } from '../../support/servers/aws-json.ts'
import { createKmsKeys, createSecret } from '../../support/servers/moto.ts'
import { testServers } from '../../support/servers/test-servers.ts'
import { VaultServer } from '../../support/servers/vault.ts'
import { dynamoDbStore, mariaDbStore, postgresStore, region, type SharedStore } from '../interop/stores.ts'

/** What a process is configured with, and how its keys are found out from outside. */
export interface Backend {
  /** Without `kms`, a KMS object of the user's own stands in for it. */
  readonly config: Omit<Partial<AsherahConfig>, 'metastore' | 'kms'> & {
    readonly metastore?: string
    readonly kms?: string
  }
  readonly env?: NodeJS.ProcessEnv
  end?(): Promise<void>
}

export interface StoreBackend extends Backend {
  rows(subject: MemorySubject): Promise<readonly OracleRow[]>
}

export interface KmsBackend extends Backend {
  /** What unwraps the system keys of these rows, and what other keys there are on the way. */
  open(rows: readonly OracleRow[]): Promise<{ master: OracleMaster; others: readonly NamedKey[] }>
}

/** A process whose memory is searched. Each metastore and each KMS is in one of them. */
export interface SubjectSpec {
  readonly name: string
  readonly store: (folder: string) => Promise<StoreBackend>
  readonly kms: () => Promise<KmsBackend>
  /** How many keys beside the system key and the intermediate keys are expanded in the arena. */
  readonly masterKeys: 0 | 1
  /** What is expected, and documented, to be found outside the arena, as `system key, base64`. */
  readonly leaves: readonly string[]
}

export const subjects: readonly SubjectSpec[] = [
  {
    name: 'memory, a KMS of the user’s own',
    store: async () => ({ config: { metastore: 'memory' }, rows: (subject) => subject.rows() }),
    kms: ownKms,
    masterKeys: 0,
    // Node's decipher frees what it returned without overwriting it, whenever that is collected.
    leaves: ['system key, raw'],
  },
  { name: 'SQLite, static', store: sqlite, kms: staticKey, masterKeys: 1, leaves: ['master key, hex'] },
  {
    name: 'PostgreSQL, AWS KMS in two regions',
    store: () => shared(postgresStore()),
    kms: awsKms,
    masterKeys: 0,
    leaves: ['data key of KMS, base64'],
  },
  {
    name: 'MariaDB, Vault',
    store: () => shared(mariaDbStore()),
    kms: vault,
    masterKeys: 0,
    leaves: ['system key, base64'],
  },
  {
    name: 'DynamoDB, Secrets Manager',
    store: () => shared(dynamoDbStore()),
    kms: secretsManager,
    masterKeys: 1,
    leaves: ['master key, hex'],
  },
]

async function sqlite(folder: string): Promise<StoreBackend> {
  const path = join(folder, 'keys.db')
  return { config: { metastore: 'sqlite', connectionString: path }, rows: async () => sqliteRows(path) }
}

async function shared(making: Promise<SharedStore>): Promise<StoreBackend> {
  const store = await making
  const { kms: _, metastore, ...place } = store.ours
  return {
    config: { ...place, metastore: String(metastore) },
    rows: async () =>
      (await store.rows()).map(({ id, created, record }) => ({
        id,
        created,
        keyRecord: JSON.stringify(record),
      })),
    end: () => store.drop(),
  }
}

async function staticKey(): Promise<KmsBackend> {
  const bytes = randomBytes(32)
  const master = bytes.toString('hex')
  return {
    config: { kms: 'static' },
    env: { STATIC_MASTER_KEY_HEX: master },
    open: async () => ({ master, others: [{ name: 'master key', bytes }] }),
  }
}

async function ownKms(): Promise<KmsBackend> {
  const seed = randomBytes(16).toString('hex')
  return {
    config: {},
    env: { OWN_KMS_SEED: seed },
    open: async () => ({ master: ownKmsOpens(seed), others: [] }),
  }
}

function awsVariables(): NodeJS.ProcessEnv {
  return {
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_REGION: region,
    AWS_ENDPOINT_URL: testServers().moto.endpoint,
  }
}

async function awsKms(): Promise<KmsBackend> {
  const { endpoint } = testServers().moto
  const regionMap = await createKmsKeys(endpoint, [region, 'us-east-1'])
  return {
    config: { kms: 'aws', regionMap, preferredRegion: region },
    env: awsVariables(),
    open: async (rows) => {
      const dataKeys = new Map<string, Buffer>()
      for (const { keyRecord } of rows.filter(({ id }) => id.startsWith('_SK_'))) {
        const text = Buffer.from((JSON.parse(keyRecord) as { Key: string }).Key, 'base64').toString()
        const entry = readAwsEnvelope(text).kmsKeks.get(region)
        if (entry === undefined) throw new Error('a system key has no entry of the region')
        const { Plaintext } = await callAws<{ Plaintext: string }>(
          { endpoint, region, service: 'kms' },
          'TrentService.Decrypt',
          { CiphertextBlob: entry.encryptedKek.toString('base64') },
        )
        dataKeys.set(text, Buffer.from(Plaintext, 'base64'))
      }
      return {
        master: (wrapped) =>
          openAwsEnvelope(String(wrapped), dataKeys.get(String(wrapped)) ?? Buffer.alloc(0)),
        others: [...dataKeys.values()].map((bytes) => ({ name: 'data key of KMS', bytes })),
      }
    },
  }
}

async function secretsManager(): Promise<KmsBackend> {
  const bytes = randomBytes(32)
  const master = bytes.toString('hex')
  const secretsManagerSecretId = await createSecret(testServers().moto.endpoint, region, master)
  return {
    config: { kms: 'secrets-manager', secretsManagerSecretId },
    env: awsVariables(),
    open: async () => ({ master, others: [{ name: 'master key', bytes }] }),
  }
}

async function vault(): Promise<KmsBackend> {
  const { certificates } = testServers()
  const server = await VaultServer.start({
    tls: {
      cert: readFileSync(certificates.server.certificate, 'utf8'),
      key: readFileSync(certificates.server.key, 'utf8'),
    },
  })
  server.transit().create('asherah')
  return {
    config: {
      kms: 'vault',
      vaultAddr: server.address,
      vaultTransitKey: 'asherah',
      vaultToken: server.rootToken,
      vaultCaCert: certificates.authority,
    },
    open: async () => ({
      master: (wrapped) => {
        const answer = server.transit().decrypt('asherah', { ciphertext: wrapped.toString() })
        return Buffer.from((answer as { plaintext: string }).plaintext, 'base64')
      },
      others: [],
    }),
    end: () => server.close(),
  }
}
