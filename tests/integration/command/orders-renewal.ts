import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { SessionFactory } from '../../../packages/asherah/src/index.ts'
import { jsonLines } from './command-process.ts'
import { type OrdersTable, openOrders, readBack, seedOrders } from './orders-table.ts'

const day = 86_400_000

/** What `reencrypt` is told of the table. */
export function orderFlags({ keyColumns }: OrdersTable): readonly string[] {
  return [
    'reencrypt',
    '--table',
    'orders',
    '--columns',
    'card',
    '--partition',
    'all',
    '--url-file',
    'url',
    ...(keyColumns === undefined ? [] : ['--key-column', keyColumns.join()]),
  ]
}

/** Makes the table and seals its records anew, in as many ranges at once: each row once, and nothing else is changed. */
export async function renewOrders(
  context: TestContext,
  one: OrdersTable,
  rows: number,
  ranges = 1,
): Promise<void> {
  const { folder, place, config } = await openOrders(context, one)
  const flags = orderFlags(one)
  await seedOrders(config, place, one, rows)
  const bounds = ranges === 1 ? [{}] : await folder.json(...flags, '--split', String(ranges))
  assert.equal(bounds.length, ranges)
  const runs = await Promise.all(
    bounds.map((range) => {
      const words = Object.entries(range).map(([flag, value]) => `--${flag}=${value}`)
      return folder.run(...flags, ...words, '--older-than', '90d', '--yes', '--json')
    }),
  )
  const told = runs.map(({ code, stdout, stderr }) => {
    assert.equal(code, 0, stderr)
    return jsonLines(stdout).at(-1) ?? {}
  })
  const sum = (what: string): number => told.reduce((total, counts) => total + Number(counts[what]), 0)
  assert.deepEqual([sum('rows'), sum('renewed')], [rows, rows], JSON.stringify(bounds))

  const factory = new SessionFactory(config)
  const session = factory.getSession('all')
  const seen = new Set<number>()
  for (const line of await place.run(readBack(one))) {
    const [record = '', number] = line.split(/[\t|](?=\d+$)/)
    assert.equal(session.decryptString(record), `text ${number}`)
    const { Key } = JSON.parse(record) as { Key: { ParentKeyMeta: { Created: number } } }
    assert.ok(Key.ParentKeyMeta.Created * 1000 > Date.now() - day, 'under the new key')
    seen.add(Number(number))
  }
  assert.equal(seen.size, rows)
  await factory.closeAsync()
}
