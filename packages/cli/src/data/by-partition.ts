import { AsherahError, type AsherahSession, type ItemError, type SessionFactory } from 'asherah'

/** Something of a partition's. */
export interface Owned<T> {
  readonly partition: string
  readonly value: T
}

/** What came of one of them. */
export type Outcome<T> = { readonly value: T; readonly error?: undefined } | { readonly error: ItemError }

/** Partitions whose keys are loaded at once. */
const atOnce = 32

/** Does something with values of many partitions, one call a partition; outcomes are in the order of the values. */
export async function byPartition<From, To>(
  factory: SessionFactory,
  owned: readonly Owned<From>[],
  run: (session: AsherahSession, values: readonly From[]) => Promise<readonly Outcome<To>[]>,
): Promise<readonly Outcome<To>[]> {
  const places = new Map<string, number[]>()
  for (const [index, { partition }] of owned.entries()) {
    const known = places.get(partition)
    if (known === undefined) places.set(partition, [index])
    else known.push(index)
  }
  const outcomes: Outcome<To>[] = new Array(owned.length)
  const waiting = places.entries()
  const work = async (): Promise<void> => {
    for (const [partition, indices] of waiting) {
      const values = indices.flatMap((index) => owned[index]?.value ?? [])
      const answers = await inSession(factory, partition, values, run)
      for (const [place, index] of indices.entries()) {
        const answer = answers[place]
        if (answer !== undefined) outcomes[index] = answer
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, places.size) }, work))
  return outcomes
}

async function inSession<From, To>(
  factory: SessionFactory,
  partition: string,
  values: readonly From[],
  run: (session: AsherahSession, values: readonly From[]) => Promise<readonly Outcome<To>[]>,
): Promise<readonly Outcome<To>[]> {
  let session: AsherahSession
  try {
    session = factory.getSession(partition)
  } catch (error) {
    if (!(error instanceof AsherahError)) throw error
    return values.map(() => ({ error }))
  }
  try {
    return await run(session, values)
  } finally {
    session.close()
  }
}

/** Texts sealed under their partitions' latest keys. */
export function encryptTexts(factory: SessionFactory, owned: readonly Owned<string>[]) {
  return byPartition(factory, owned, async (session, texts) =>
    (await session.encryptStringManyAsync(texts)).map(({ record, error }) =>
      error === undefined ? { value: record } : { error },
    ),
  )
}

/** The texts of records. */
export function decryptTexts(factory: SessionFactory, owned: readonly Owned<string>[]) {
  return byPartition(factory, owned, async (session, records) =>
    (await session.decryptStringManyAsync(records)).map(({ text, error }) =>
      error === undefined ? { value: text } : { error },
    ),
  )
}
