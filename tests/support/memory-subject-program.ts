// The process that memory tests search: one command in JSON for each line on standard input, one answer for each.
import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import {
  type AsherahConfig,
  type EnvelopeKeyRecord,
  type KeyManagementService,
  SessionFactory,
} from 'asherah'
import { MemoryMetastore } from '../../packages/asherah/src/metastore/memory.ts'
import { ownMasterKey, type SubjectCommand, type SubjectWork } from './memory-subject.ts'
import type { OracleRow } from './oracle.ts'

let factory: SessionFactory | undefined
let planted: Buffer | undefined
const memoryRows: OracleRow[] = []

/** The store that lives in this process, with what it was given to keep: nothing else can tell what it holds. */
class RecordedMemory extends MemoryMetastore {
  override store(keyId: string, created: number, record: EnvelopeKeyRecord): boolean {
    const stored = super.store(keyId, created, record)
    const { encryptedKey, parentKeyMeta: parent } = record
    const keyRecord = JSON.stringify({
      Created: created,
      Key: Buffer.from(encryptedKey).toString('base64'),
      ...(parent !== undefined && { ParentKeyMeta: { KeyId: parent.keyId, Created: parent.created } }),
    })
    if (stored) memoryRows.push({ id: keyId, created, keyRecord })
    return stored
  }
}

const recordedMemory = new RecordedMemory()

/** A KMS as a user may write it, in plain Node. */
function ownKms(): KeyManagementService {
  const master = ownMasterKey(process.env['OWN_KMS_SEED'] ?? '')
  return {
    encryptKey: async (key) => {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', master, nonce)
      return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()])
    },
    decryptKey: async (sealed) => {
      const opener = createDecipheriv('aes-256-gcm', master, sealed.subarray(0, 12))
      opener.setAuthTag(sealed.subarray(-16))
      return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()])
    },
  }
}

/** What is sealed as record `index`; now and then so large that the call goes to the thread pool. */
function contentOf(index: number): Buffer {
  const size = index % 1000 === 999 ? 200_000 : (index * 37) % 1500
  return Buffer.alloc(size, createHash('sha256').update(String(index)).digest())
}

/** Every second record in one way, every second in the other. */
function isSynchronous(index: number, work: SubjectWork): boolean {
  return work.synchronous ? index % 2 === 0 : false
}

function openedFactory(): SessionFactory {
  if (factory === undefined) throw new Error('no factory is open')
  return factory
}

async function encryptRecords(work: SubjectWork): Promise<void> {
  const opened = openedFactory()
  const records: string[] = []
  for (let index = 0; index < work.records; index++) {
    const session = opened.getSession(`tenant-${index % work.partitions}`)
    const content = contentOf(index)
    records.push(isSynchronous(index, work) ? session.encrypt(content) : await session.encryptAsync(content))
    session.close()
  }
  writeFileSync(work.file, records.join('\n'))
}

async function decryptRecords(work: SubjectWork): Promise<void> {
  const opened = openedFactory()
  for (const [index, record] of readFileSync(work.file, 'utf8').split('\n').entries()) {
    const session = opened.getSession(`tenant-${index % work.partitions}`)
    const content = isSynchronous(index, work) ? session.decrypt(record) : await session.decryptAsync(record)
    assert.equal(Buffer.compare(content, contentOf(index)), 0)
    session.close()
  }
}

const steps: { readonly [Kind in SubjectCommand['kind']]: (command: never) => unknown } = {
  open: ({ config, own }: Extract<SubjectCommand, { kind: 'open' }>) => {
    factory = new SessionFactory({
      ...config,
      ...(config.metastore === 'memory' && { metastore: recordedMemory }),
      ...(own && { kms: ownKms() }),
    } as AsherahConfig)
  },
  encrypt: ({ work }: Extract<SubjectCommand, { kind: 'encrypt' }>) => encryptRecords(work),
  decrypt: ({ work }: Extract<SubjectCommand, { kind: 'decrypt' }>) => decryptRecords(work),
  warm: ({ partitions }: Extract<SubjectCommand, { kind: 'warm' }>) => factory?.warm(partitions),
  stats: () => factory?.stats(),
  rows: () => memoryRows,
  close: async () => {
    await factory?.closeAsync()
    factory = undefined
  },
  // Masked, so that what is planted lies in one place.
  plant: ({ masked }: Extract<SubjectCommand, { kind: 'plant' }>) => {
    // With a backing store of its own: V8 would keep the bytes of a small array on its moving heap, and copies behind.
    planted = Buffer.from(new ArrayBuffer(masked.length))
    for (const [index, byte] of masked.entries()) planted[index] = byte ^ 0xa5
  },
  remove: () => {
    planted?.fill(0)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as SubjectCommand
  const answer = await steps[command.kind](command as never)
  process.stdout.write(`${JSON.stringify({ answer: answer ?? null })}\n`)
}
