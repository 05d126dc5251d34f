import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { KeyPatterns } from '../../support/key-patterns.ts'
import { type MemoryHit, scanFile, scanProcess, summary } from '../../support/memory-scanner.ts'
import { keysOf, MemorySubject } from '../../support/memory-subject.ts'
import { runTool } from '../../support/servers/tool.ts'
import { type SubjectSpec, subjects } from './subjects.ts'

const partitions = 100
const records = 10_000
/** Half keys and round keys that one expanded key shows. */
const perExpandedKey = { raw: 2, schedule: 13 }

describe('keys in the memory of a process after 10,000 records over 100 partitions', {
  skip: process.platform === 'linux' ? false : 'needs /proc',
}, () => {
  for (const spec of subjects) {
    it(`are in the arena alone, and in no core file: ${spec.name}`, { timeout: 240_000 }, (context) =>
      search(context, spec),
    )
  }
})

async function search(context: TestContext, spec: SubjectSpec): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'asherah-memory-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const [store, kms] = await Promise.all([spec.store(folder), spec.kms()])
  context.after(async () => {
    await store.end?.()
    await kms.end?.()
  })
  const config = {
    serviceName: 'api',
    productId: 'catalog',
    ...store.config,
    ...kms.config,
    metastore: store.config.metastore ?? '',
  }
  // A KMS of the user's own that answers later can be had by asynchronous calls only.
  const work = { records, partitions, file: join(folder, 'records'), synchronous: config.kms !== undefined }
  const subject = await MemorySubject.start({ ...store.env, ...kms.env })
  context.after(() => subject.kill())
  const planted = { name: 'planted key', bytes: randomBytes(32) }

  await subject.open(config)
  await subject.plant(planted.bytes)
  await subject.encrypt(work)
  const rows = await store.rows(subject)
  const { master, others } = await kms.open(rows)
  const keys = keysOf(master, rows, work.file)
  assert.deepEqual(
    Object.entries(Object.groupBy(keys, ({ name }) => name)).map(([name, all]) => [name, all?.length ?? 0]),
    [
      ['system key', 1],
      ['intermediate key', partitions],
      ['data row key', records],
    ],
  )
  // A data row key is expanded for one call only; where 2,000 of them are looked for, their round keys are too.
  const sought = keys.map((key) => ({ ...key, expanded: key.name !== 'data row key' }))
  const patterns = new KeyPatterns([...sought, ...others, planted])

  const scan = async (): Promise<readonly MemoryHit[]> => (await scanProcess(subject.pid, patterns)).hits

  /** The bridge's thread gives its keys up in a turn of its own, soon after the factory was closed. */
  const scanWhenEmptied = async (): Promise<readonly MemoryHit[]> => {
    for (let tries = 1; ; tries++) {
      const hits = await scan()
      if (tries === 10 || !hits.some(({ arena }) => arena)) return hits
    }
  }

  const check = (
    when: string,
    hits: readonly MemoryHit[],
    expanded: Readonly<Record<string, number>>,
  ): void => {
    noneButLeft(
      when,
      hits.filter(({ arena }) => !arena),
    )
    assert.deepEqual(
      summary(hits.filter(({ arena }) => arena)),
      Object.entries(expanded).flatMap(([name, count]) =>
        Object.entries(perExpandedKey).map(([form, times]) => `${name}, ${form}: ${times * count}`),
      ),
      when,
    )
  }

  /** What is planted is found, and of the library's keys what is documented only. */
  const noneButLeft = (when: string, hits: readonly MemoryHit[]): void => {
    const found = summary(hits.filter(({ name }) => name !== planted.name))
    context.diagnostic(`outside the arena, ${when}: ${found.join('; ') || 'nothing'}`)
    const unwanted = hits.filter(
      ({ name, form }) => name !== planted.name && !spec.leaves.includes(`${name}, ${form}`),
    )
    assert.deepEqual(
      summary(unwanted),
      [],
      `${when}:\n${unwanted.map(({ name, form, place }) => `${name}, ${form} in ${place}`).join('\n')}`,
    )
    assert.deepEqual(summary(hits.filter(({ name }) => name === planted.name)), ['planted key, raw: 2'], when)
  }

  const masters = spec.masterKeys === 0 ? {} : { 'master key': spec.masterKeys }
  const inUse = { 'intermediate key': partitions, ...masters, 'system key': 1 }
  check('after encryption', await scan(), inUse)
  assert.equal((await subject.stats()).hotSlotsInUse, partitions + spec.masterKeys + 1)
  await subject.close()
  check('when closed', await scanWhenEmptied(), {})
  await subject.open(config)
  await subject.decrypt(work)
  check('after decryption', await scan(), inUse)

  // The file holds the registers of every thread beside its memory: those of the thread pool as their last call left them.
  await runTool('/usr/bin/gcore', ['-o', join(folder, 'core'), String(subject.pid)], { cwd: folder })
  noneButLeft('in the core file', scanFile(join(folder, `core.${subject.pid}`), patterns).hits)
  await subject.close()
  await subject.end()
}
