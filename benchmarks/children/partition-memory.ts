// Resident memory that partitions leave behind once their sessions are gone. Started with `--expose-gc`, a variant, and two
// numbers of partitions; prints the bytes for each partition between the two.
import { randomBytes } from 'node:crypto'
import { SessionFactory } from 'asherah'
import { configuration } from '../configuration.ts'

const [variant, from, to] = process.argv.slice(2)
const collect = globalThis.gc
if (collect === undefined) throw new Error('start this with --expose-gc')

/** A store that keeps its rows elsewhere, as a database does. */
const elsewhere = { load: () => undefined, loadLatest: () => undefined, store: () => true }
const factory = new SessionFactory(
  variant === 'elsewhere' ? { ...configuration(), metastore: elsewhere } : configuration(),
)
const data = randomBytes(64)
const held: unknown[] = []
let partitions = 0

async function residentAt(count: number): Promise<number> {
  for (; partitions < count; partitions++) {
    const session = factory.getSession(`tenant-${partitions}`)
    session.encrypt(data)
    if (variant === 'held') held.push(session)
    else session.close()
    // Finalizers and incremental collection get their turns, as in a service.
    if (partitions % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  for (let pass = 0; pass < 4; pass++) {
    collect?.()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage.rss()
}

const before = await residentAt(Number(from))
const after = await residentAt(Number(to))
console.log((after - before) / (Number(to) - Number(from)))
