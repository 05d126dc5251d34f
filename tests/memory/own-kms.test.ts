import assert from 'node:assert/strict'
import { createDecipheriv, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { KeyPatterns } from '../support/key-patterns.ts'
import { scanProcess, summary } from '../support/memory-scanner.ts'
import { keysOf, MemorySubject, ownMasterKey, sqliteRows } from '../support/memory-subject.ts'

describe("keys in the memory of a process with a KMS of the user's own", {
  skip: process.platform === 'linux' ? false : 'needs /proc',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-memory-'))
  const seed = randomBytes(16).toString('hex')
  const master = ownMasterKey(seed)
  const config = {
    serviceName: 'api',
    productId: 'catalog',
    metastore: 'sqlite',
    connectionString: join(folder, 'keys.db'),
  }
  const work = { records: 1000, partitions: 20, file: join(folder, 'records'), synchronous: false }
  let subject: MemorySubject
  let patterns: KeyPatterns

  before(async () => {
    subject = await MemorySubject.start({ OWN_KMS_SEED: seed })
    await subject.open(config)
    await subject.encrypt(work)
    patterns = new KeyPatterns(keysOf(openedBy(master), sqliteRows(config.connectionString), work.file))
  })
  after(() => {
    subject.kill()
    rmSync(folder, { recursive: true })
  })

  it('are in the arena alone after encryptKey was lent a system key', async () => {
    const { hits } = await scanProcess(subject.pid, patterns)
    assert.deepEqual(summary(hits.filter(({ arena }) => !arena)), [])
    assert.deepEqual(inArena(hits), ['intermediate key', 'system key'])
  })

  // This one leaves the result of its cipher behind, which Node frees without overwriting, whenever that is collected.
  it('are in the arena alone after decryptKey, but for what that leaves of the system key', async (context) => {
    await subject.close()
    await subject.open(config)
    await subject.warm(['tenant-0'])
    const { hits } = await scanProcess(subject.pid, patterns)
    const outside = hits.filter(({ arena }) => !arena)
    context.diagnostic(`outside the arena: ${summary(outside).join('; ') || 'nothing'}`)
    assert.deepEqual(
      outside.filter(({ name, form }) => name !== 'system key' || form !== 'raw'),
      [],
    )
    // An intermediate key rests sealed until it is used.
    assert.deepEqual(inArena(hits), ['system key'])
  })

  it('are no longer in the arena after the factory was closed', async () => {
    await subject.decrypt(work)
    await subject.close()
    const { hits } = await scanProcess(subject.pid, patterns)
    assert.deepEqual(inArena(hits), [])
    assert.deepEqual(
      hits.filter(({ name }) => name !== 'system key'),
      [],
    )
  })

  function inArena(hits: Awaited<ReturnType<typeof scanProcess>>['hits']): string[] {
    return [...new Set(hits.filter(({ arena }) => arena).map(({ name }) => name))].toSorted()
  }
})

/** What the process's own KMS sealed: nonce, ciphertext, tag. */
function openedBy(master: Uint8Array): (sealed: Buffer) => Buffer {
  return (sealed) => {
    const opener = createDecipheriv('aes-256-gcm', master, sealed.subarray(0, 12))
    opener.setAuthTag(sealed.subarray(-16))
    return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()])
  }
}
