import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { KeyPatterns } from '../support/key-patterns.ts'
import { scanFile, summary } from '../support/memory-scanner.ts'
import { keysOf, MemorySubject, sqliteRows } from '../support/memory-subject.ts'
import { runTool } from '../support/servers/tool.ts'

const gcore = '/usr/bin/gcore'

describe('keys in a core file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-core-'))
  const master = randomBytes(32).toString('hex')
  const database = join(folder, 'keys.db')
  const work = { records: 2000, partitions: 50, file: join(folder, 'records'), synchronous: true }
  const planted = { name: 'planted key', bytes: randomBytes(32) }
  let subject: MemorySubject

  before(async () => {
    subject = await MemorySubject.start({ STATIC_MASTER_KEY_HEX: master })
    await subject.open({
      serviceName: 'api',
      productId: 'catalog',
      metastore: 'sqlite',
      connectionString: database,
      kms: 'static',
    })
    await subject.plant(planted.bytes)
  })
  after(() => {
    subject.kill()
    rmSync(folder, { recursive: true })
  })

  /** The file holds the registers of every thread beside its memory: those of the thread pool stand as its last call left them. */
  async function assertNoneInCore(): Promise<void> {
    await runTool(gcore, ['-o', join(folder, 'core'), String(subject.pid)], { cwd: folder })
    const core = join(folder, `core.${subject.pid}`)
    const keys = keysOf(master, sqliteRows(database), work.file)
    const masterKey = { name: 'master key', bytes: Buffer.from(master, 'hex') }
    const { hits } = scanFile(core, new KeyPatterns([...keys, masterKey, planted]))
    rmSync(core)
    const unwanted = hits.filter(
      ({ name, form }) => name !== 'planted key' && `${name}, ${form}` !== 'master key, hex',
    )
    assert.deepEqual(
      summary(unwanted),
      [],
      unwanted.map(({ form, place }) => `${form} in ${place}`).join('\n'),
    )
    assert.deepEqual(summary(hits.filter(({ name }) => name === 'planted key')), ['planted key, raw: 2'])
  }

  it('are none after records were encrypted', async () => {
    await subject.encrypt(work)
    await assertNoneInCore()
  })

  it('are none after records were decrypted', async () => {
    await subject.decrypt(work)
    await assertNoneInCore()
  })
})
