import { type AsherahConfig, SessionFactory } from 'asherah'
import type { Figures, Measurand } from './figure.ts'

/** A metastore in another process, and how many partitions are fetched from it. */
export interface ColdStore {
  readonly group: string
  /** As the figures' names have it. */
  readonly name: string
  readonly config: AsherahConfig
  readonly partitions: number
  readonly rounds: number
  /** So many are also asked for by synchronous calls, which wait for the bridge. */
  readonly overBridge: number
}

/** Asked for together they share queries, or at least the waiting: the bar is a fifth of the time. */
const most = 0.2

/**
 * What a partition costs whose key must be fetched: nanoseconds a partition, the first record sealed included. Every round
 * starts with factories that hold nothing.
 */
export async function measureColdStore(store: ColdStore, figures: Figures): Promise<void> {
  const ids = Array.from({ length: store.partitions }, (_, index) => `tenant-${index}`)
  await withFactory(store.config, (factory) => factory.warm(ids))
  const count = ids.length.toLocaleString('en')
  const common = { group: store.group, unit: 'ns' } as const
  const named = (how: string): string => `cold partition on ${store.name}, ${how}`
  const oneByOne: Measurand = { ...common, name: named('one after the other') }
  const shared = { ...common, comparison: { against: oneByOne.name, by: 'ratio', most } } as const
  const atOnce: Measurand = { ...shared, name: named(`${count} at once`) }
  const warmed: Measurand = { ...shared, name: named(`warm() of ${count}`) }
  const bridged: Measurand = {
    ...common,
    name: named('over the bridge'),
    comparison: { against: oneByOne.name, by: 'ratio' },
  }
  const timed = (
    measurand: Measurand,
    partitions: readonly string[],
    calls: (factory: SessionFactory) => unknown,
  ): Promise<void> =>
    withFactory(store.config, async (factory) => {
      // The connections, the system key and the bridge's thread are not the partitions' cost.
      await encrypt(factory, 'first')
      if (measurand === bridged) encryptNow(factory, 'first over the bridge')
      const start = process.hrtime.bigint()
      await calls(factory)
      figures.add(measurand, Number(process.hrtime.bigint() - start) / partitions.length)
    })
  for (let round = 0; round < store.rounds; round++) {
    await timed(oneByOne, ids, async (factory) => {
      for (const id of ids) await encrypt(factory, id)
    })
    await timed(atOnce, ids, (factory) => Promise.all(ids.map((id) => encrypt(factory, id))))
    await timed(warmed, ids, async (factory) => {
      await factory.warm(ids)
      for (const id of ids) encryptNow(factory, id)
    })
    const some = ids.slice(0, store.overBridge)
    if (some.length === 0) continue
    await timed(bridged, some, (factory) => {
      for (const id of some) encryptNow(factory, id)
    })
  }
}

async function withFactory(
  config: AsherahConfig,
  use: (factory: SessionFactory) => Promise<void>,
): Promise<void> {
  const factory = new SessionFactory(config)
  try {
    await use(factory)
  } finally {
    await factory.closeAsync()
  }
}

function encrypt(factory: SessionFactory, id: string): Promise<string> {
  return factory.getSession(id).encryptStringAsync('x')
}

function encryptNow(factory: SessionFactory, id: string): string {
  return factory.getSession(id).encryptString('x')
}
