import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { roundKeys } from '../support/aes-schedule.ts'
import { KeyPatterns, type NamedKey } from '../support/key-patterns.ts'
import { type ScanResult, scanProcess, summary } from '../support/memory-scanner.ts'
import { keysOf, MemorySubject, sqliteRows } from '../support/memory-subject.ts'

const linux = process.platform === 'linux' ? false : 'needs /proc'

/** Half keys and round keys that one expanded key shows. */
const perExpandedKey = { raw: 2, schedule: 13 }

describe('keys in the memory of a process with a static master key', { skip: linux }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-memory-'))
  const master = randomBytes(32)
  const database = join(folder, 'keys.db')
  const work = { records: 2000, partitions: 50, file: join(folder, 'records'), synchronous: true }
  const config = {
    serviceName: 'api',
    productId: 'catalog',
    metastore: 'sqlite',
    connectionString: database,
    kms: 'static',
  }
  let subject: MemorySubject
  let keys: readonly NamedKey[]
  let patterns: KeyPatterns

  before(async () => {
    subject = await MemorySubject.start({ STATIC_MASTER_KEY_HEX: master.toString('hex') })
    await subject.open(config)
    await subject.encrypt(work)
    keys = keysOf(master.toString('hex'), sqliteRows(database), work.file)
    patterns = new KeyPatterns([...keys, { name: 'master key', bytes: master }])
  })
  after(() => {
    subject.kill()
    rmSync(folder, { recursive: true })
  })

  /** Of the static master key, the text that was configured stays: in the environment, and where Node reads it. */
  async function assertOnlyInArena(result: ScanResult): Promise<void> {
    const outside = result.hits.filter(({ arena }) => !arena)
    const places = outside.map(({ name, form, place }) => `${name}, ${form}: ${place}`)
    assert.ok(
      outside.every(({ name, form }) => name === 'master key' && form === 'hex'),
      `outside the arena:\n${places.join('\n')}`,
    )
    // Half of it in the process's own copy of its environment, and the other half, at least.
    assert.ok(outside.length >= 2, 'the configured text is found')
    const { hotSlotsInUse, lockedBytes, unlockedBytes } = await subject.stats()
    assert.equal(result.arenaBytes, lockedBytes)
    assert.equal(unlockedBytes, 0)
    // Nothing but intermediate keys, the system key and the master key, expanded, each in one slot.
    assert.equal(hotSlotsInUse, work.partitions + 2)
    const expected = [
      ['intermediate key', work.partitions],
      ['master key', 1],
      ['system key', 1],
    ] as const
    assert.deepEqual(
      summary(result.hits.filter(({ arena }) => arena)),
      expected.flatMap(([name, count]) =>
        Object.entries(perExpandedKey).map(([form, times]) => `${name}, ${form}: ${times * count}`),
      ),
    )
  }

  it('are those of the stored rows and records', () => {
    const names = keys.map(({ name }) => name)
    assert.equal(names.filter((name) => name === 'data row key').length, work.records)
    assert.equal(names.filter((name) => name === 'intermediate key').length, work.partitions)
    assert.equal(names.filter((name) => name === 'system key').length, 1)
  })

  it('would be found in every form, at any alignment', async () => {
    const forms = {
      raw: (key: Buffer) => key,
      'first half': (key: Buffer) => key.subarray(0, 16),
      schedule: (key: Buffer) => Buffer.concat(roundKeys(key).slice(2)),
      'schedule of words': (key: Buffer) => Buffer.concat(roundKeys(key).slice(2)).swap32(),
      hex: (key: Buffer) => Buffer.from(key.toString('hex')),
      HEX: (key: Buffer) => Buffer.from(key.toString('hex').toUpperCase()),
      'hex of two bytes a character': (key: Buffer) => Buffer.from(key.toString('hex'), 'utf16le'),
      base64: (key: Buffer) => Buffer.from(key.toString('base64')),
      'base64 behind one byte': (key: Buffer) =>
        Buffer.from(Buffer.concat([Buffer.alloc(1, 7), key]).toString('base64')),
      'base64 behind two bytes': (key: Buffer) =>
        Buffer.from(Buffer.concat([Buffer.alloc(2, 7), key]).toString('base64')),
      base64url: (key: Buffer) => Buffer.from(key.toString('base64url')),
    }
    const planted: NamedKey[] = Object.keys(forms).map((name) => ({ name, bytes: randomBytes(32) }))
    const pieces = planted.flatMap(({ name, bytes }, index) => [
      randomBytes(3 * index + 1),
      forms[name as keyof typeof forms](Buffer.from(bytes)),
    ])
    const plantedPatterns = new KeyPatterns(planted)
    // Across the edge of the scanner's pieces too.
    await subject.plant(Buffer.concat([randomBytes(1 << 20), ...pieces, randomBytes(5)]))
    const { hits } = await scanProcess(subject.pid, plantedPatterns)
    assert.deepEqual(summary(hits), [
      'HEX, HEX: 2',
      'base64 behind one byte, base64: 2',
      'base64 behind two bytes, base64: 2',
      'base64, base64: 2',
      'base64url, base64: 2',
      'first half, raw: 1',
      'hex of two bytes a character, hex: 2',
      'hex, hex: 2',
      'raw, raw: 2',
      'schedule of words, schedule: 13',
      'schedule, schedule: 13',
    ])
    assert.ok(hits.every(({ arena }) => !arena))
    await subject.remove()
    assert.deepEqual(summary((await scanProcess(subject.pid, plantedPatterns)).hits), [])
  })

  it('are in the arena alone after records were encrypted', async () => {
    await assertOnlyInArena(await scanProcess(subject.pid, patterns))
  })

  it('are nowhere after the factory was closed', async () => {
    await subject.close()
    const { hits } = await scanProcess(subject.pid, patterns)
    assert.deepEqual([...new Set(hits.map(({ name, form }) => `${name}, ${form}`))], ['master key, hex'])
  })

  it('are in the arena alone after keys were loaded and records decrypted', async () => {
    await subject.open(config)
    await subject.decrypt(work)
    await assertOnlyInArena(await scanProcess(subject.pid, patterns))
  })

  it('do not keep it from ending well', async () => {
    await subject.close()
    await subject.end()
  })
})
