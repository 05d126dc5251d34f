// A process that races others for the same keys, or reads what they wrote: see `racing-process.ts`.
import { openSync, readFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AsherahSession, SessionFactory } from '../../packages/asherah/src/index.ts'
import type { JournalEntry, RacingTask, RacingVerdict } from './racing-process.ts'

const task = JSON.parse(process.argv[2] ?? '') as RacingTask

switch (task.kind) {
  case 'race':
    await race(task)
    break
  case 'read':
    await read(task)
}

/** Encrypts on every partition, round after round, until it is killed. */
async function race({ name, config, partitions, journal, synchronous }: RacingTask & { kind: 'race' }) {
  const factory = new SessionFactory(config)
  const sessions = partitions.map((partition) => factory.getSession(partition))
  const file = openSync(journal, 'a')
  process.send?.('ready')
  await new Promise((resolve) => process.once('message', resolve))
  for (let round = 0; ; round += 1) {
    const encrypt = async (session: AsherahSession): Promise<void> => {
      const partition = session.partitionId
      const text = `${name} ${partition} ${round}`
      const record = synchronous ? session.encryptString(text) : await session.encryptStringAsync(text)
      const entry: JournalEntry = { partition, text, record }
      // One system call for a line: it is there whole, or not at all, whenever this process is killed.
      writeSync(file, `${JSON.stringify(entry)}\n`)
    }
    await Promise.all(sessions.map(encrypt))
    await sleep(5)
  }
}

/** Decrypts everything that the journals acknowledge. */
async function read({ config, journals }: RacingTask & { kind: 'read' }) {
  await using factory = new SessionFactory(config)
  const lost: string[] = []
  let records = 0
  for (const journal of journals) {
    const entries = readFileSync(journal, 'utf8').split('\n').slice(0, -1)
    const decrypt = async (line: string): Promise<void> => {
      const { partition, text, record } = JSON.parse(line) as JournalEntry
      using session = factory.getSession(partition)
      const outcome = await session.decryptStringAsync(record).catch(String)
      if (outcome !== text) lost.push(`${text}: ${outcome}`)
    }
    await Promise.all(entries.map(decrypt))
    records += entries.length
  }
  const verdict: RacingVerdict = { records, lost }
  process.stdout.write(JSON.stringify(verdict))
}
