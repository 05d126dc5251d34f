// An application that writes records to random rows while others seal them anew, two rows in each transaction. When its stdin
// ends it ends, and prints what it last wrote to each row.
import { setTimeout as pause } from 'node:timers/promises'
import { type AsherahConfig, SessionFactory } from '../../../packages/asherah/src/index.ts'
import { type ApplicationDialect, openApplicationDatabase } from './application-database.ts'

/** What it is started with, as JSON in its first argument. */
export interface WriterTask {
  readonly config: AsherahConfig
  readonly dialect: ApplicationDialect
  readonly url: string
  readonly rows: number
  readonly partitions: number
  readonly pauseMs: number
}

const { config, dialect, url, rows, partitions, pauseMs } = JSON.parse(process.argv[2] ?? '') as WriterTask
const factory = new SessionFactory(config)
const database = await openApplicationDatabase(dialect, url)
const written = new Map<number, string>()
let writes = 0
let ended = false
process.stdin.on('end', () => {
  ended = true
})
process.stdin.resume()

while (!ended) {
  const ids = [1 + Math.floor(Math.random() * rows), 1 + Math.floor(Math.random() * rows)]
  const texts = new Map<number, string>()
  await database.run(dialect === 'sqlite' ? 'BEGIN IMMEDIATE' : 'BEGIN')
  for (const id of ids) {
    writes += 1
    const text = `order ${id}, write ${writes}`
    const owner = `owner-${id % partitions}`
    const record = await factory.getSession(owner).encryptStringAsync(text)
    await database.run('UPDATE orders SET card = ? WHERE owner = ? AND id = ?', [record, owner, id])
    texts.set(id, text)
  }
  await database.run('COMMIT')
  for (const [id, text] of texts) written.set(id, text)
  await pause(pauseMs)
}
await database.close()
await factory.closeAsync()
process.stdout.write(JSON.stringify({ writes, written: [...written] }))
