import { randomBytes } from 'node:crypto'
import {
  type AsherahSession,
  decrypt,
  decryptString,
  encrypt,
  encryptAsync,
  encryptString,
  SessionFactory,
  setup,
  shutdown,
} from 'asherah'
import { configuration } from './configuration.ts'
import { coreFigure, freshCoreFigure, sizeName } from './core-loop.ts'
import { awaited, type CaseGroup, inFlight, repeatedly, type TimedCase, Turns } from './timed-case.ts'

const sizes = [64, 1 << 10, 8 << 10]
const small = 64
const partition = 'tenant-42'
/** The bars against the core's loop. Between the two sizes there is none. */
const coreBars: Readonly<Record<number, number>> = { [small]: 2.5, [8 << 10]: 2 }

/** The name of a figure of one session's synchronous calls. */
export function syncFigure(operation: string, size: number): string {
  return `session, ${operation} ${sizeName(size)}`
}

/** The name of a figure of calls awaited one by one. */
export function asyncFigure(operation: string): string {
  return `${operation}Async ${sizeName(small)}, awaited one by one`
}

/** The names of the figures that take 2,048 partitions in turn. */
export const heldPartitionsFigure = 'session, encrypt 64 B, 2,048 partitions in turn'
export const modulePartitionsFigure = 'module, encrypt 64 B, 2,048 partitions in turn'

const caseGroups = {
  session: sessionCases,
  async: asyncCases,
  module: moduleCases,
  'partitions 2,048': () => partitionCases(2_048, 1.7),
  'partitions 100,000': () => partitionCases(100_000, 4),
  cold: coldCases,
  many: manyCases,
  large: largeCases,
} as const

/** A group of timed cases with everything made that they need. */
export function caseGroup(name: string): CaseGroup {
  const [, make] = Object.entries(caseGroups).find(([known]) => known === name) ?? []
  if (make === undefined) throw new Error(`there is no group ${name}`)
  return make()
}

/** A session's synchronous calls, bytes and text. */
function sessionCases(): CaseGroup {
  const factory = new SessionFactory(configuration())
  const session = factory.getSession(partition)
  const cases = sizes.flatMap((size): TimedCase[] => {
    const data = randomBytes(size)
    const text = randomBytes(size / 2).toString('hex')
    const record = session.encrypt(data)
    const textRecord = session.encryptString(text)
    const timed = (operation: string, core: 'encrypt' | 'decrypt', call: () => unknown): TimedCase => ({
      name: syncFigure(operation, size),
      group: 'session',
      unit: 'ns',
      comparison: { against: coreFigure(core, size), by: 'ratio', ...bar(coreBars[size]) },
      run: repeatedly(call),
    })
    return [
      timed('encrypt', 'encrypt', () => session.encrypt(data)),
      timed('decrypt', 'decrypt', () => session.decrypt(record)),
      timed('encryptString', 'encrypt', () => session.encryptString(text)),
      timed('decryptString', 'decrypt', () => session.decryptString(textRecord)),
    ]
  })
  return { cases, close: () => factory.close() }
}

/** A session's asynchronous calls while the key is in memory. */
function asyncCases(): CaseGroup {
  const factory = new SessionFactory(configuration())
  const session = factory.getSession(partition)
  const data = randomBytes(small)
  const record = session.encrypt(data)
  const calls = {
    encrypt: () => session.encryptAsync(data),
    decrypt: () => session.decryptAsync(record),
  }
  const cases = (['encrypt', 'decrypt'] as const).flatMap((operation): TimedCase[] => {
    const against = syncFigure(operation, small)
    const common = { group: 'async', unit: 'ns' } as const
    const name = `${operation}Async ${sizeName(small)}`
    return [
      {
        ...common,
        name: asyncFigure(operation),
        comparison: { against, by: 'ratio', most: 1.7 },
        run: awaited(calls[operation]),
      },
      {
        ...common,
        name: `${name}, 64 in flight`,
        comparison: { against, by: 'ratio' },
        run: inFlight(64, calls[operation]),
      },
    ]
  })
  return { cases, close: () => factory.close() }
}

/** The functions of the module, which find the session by its partition. */
function moduleCases(): CaseGroup {
  setup(configuration())
  const data = randomBytes(small)
  const text = randomBytes(small / 2).toString('hex')
  const record = encrypt(partition, data)
  const textRecord = encryptString(partition, text)
  const turns = (count: number): Turns<string> =>
    new Turns(Array.from({ length: count }, (_, index) => `tenant-${index}`))
  const [ids, manyIds] = [turns(512), turns(2_048)]
  const timed = (name: string, operation: string, run: TimedCase['run'], warmUp?: number): TimedCase => ({
    name: `module, ${name}`,
    group: 'module',
    unit: 'ns',
    comparison: { against: syncFigure(operation, small), by: 'ratio' },
    run,
    ...(warmUp !== undefined && { warmUp }),
  })
  const cases = [
    timed(
      'encrypt 64 B',
      'encrypt',
      repeatedly(() => encrypt(partition, data)),
    ),
    timed(
      'decrypt 64 B',
      'decrypt',
      repeatedly(() => decrypt(partition, record)),
    ),
    timed(
      'encryptString 64 B',
      'encryptString',
      repeatedly(() => encryptString(partition, text)),
    ),
    timed(
      'decryptString 64 B',
      'decryptString',
      repeatedly(() => decryptString(partition, textRecord)),
    ),
    timed(
      'encryptAsync 64 B, awaited',
      'encrypt',
      awaited(() => encryptAsync(partition, data)),
    ),
    timed(
      'encrypt 64 B, 512 partitions in turn',
      'encrypt',
      repeatedly(() => encrypt(ids.next(), data)),
      1_024,
    ),
    timed(
      modulePartitionsFigure.slice('module, '.length),
      'encrypt',
      repeatedly(() => encrypt(manyIds.next(), data)),
      4_096,
    ),
  ]
  return { cases, close: shutdown }
}

/** Many partitions in turn, over sessions that were obtained, and used once, before. */
function partitionCases(count: number, most: number): CaseGroup {
  const factory = new SessionFactory(configuration())
  const data = randomBytes(small)
  const sessions = Array.from({ length: count }, (_, index) => factory.getSession(`tenant-${index}`))
  const sealed = sessions.map((session) => ({ session, record: session.encrypt(data) }))
  const encrypting = new Turns<AsherahSession>(sessions)
  const decrypting = new Turns(sealed)
  // A pass of the larger number is a round by itself; the smaller one's hot keys have to be made hot again first.
  const pass = count > 10_000 ? { calls: count, warmUp: 0 } : { warmUp: 2 * count }
  const timed = (operation: 'encrypt' | 'decrypt', call: () => unknown): TimedCase => ({
    name: `session, ${operation} 64 B, ${count.toLocaleString('en')} partitions in turn`,
    group: 'partitions',
    unit: 'ns',
    comparison: { against: syncFigure(operation, small), by: 'ratio', most },
    run: repeatedly(call),
    ...pass,
  })
  const cases = [
    timed('encrypt', () => encrypting.next().encrypt(data)),
    timed('decrypt', () => {
      const { session, record } = decrypting.next()
      return session.decrypt(record)
    }),
  ]
  return { cases, close: () => factory.close() }
}

/** A partition that the process has not seen: its session, its key made or loaded, one record. */
function coldCases(): CaseGroup {
  const making = new SessionFactory(configuration())
  // Fewer places than partitions, so that each key has left the ring when its turn comes again.
  const loading = new SessionFactory({ ...configuration(), ringSize: 256 })
  const data = randomBytes(small)
  const stored = new Turns(Array.from({ length: 4_096 }, (_, index) => `tenant-${index}`))
  let fresh = 0
  const first = (factory: SessionFactory, id: string): void => {
    using session = factory.getSession(id)
    session.encrypt(data)
  }
  const makeKey = repeatedly(() => first(making, `tenant-${fresh++}`))
  const loadKey = repeatedly(() => first(loading, stored.next()))
  makeKey(4_096)
  loadKey(4_096)
  const common = { group: 'cold', unit: 'ns', calls: 5_000, warmUp: 1_000 } as const
  const comparison = { against: coreFigure('encrypt', small), by: 'ratio', most: 25 } as const
  const cases: TimedCase[] = [
    { ...common, name: 'cold partition, key made and stored', comparison, run: makeKey },
    { ...common, name: 'cold partition, key loaded from the store', comparison, run: loadKey },
  ]
  const close = (): void => {
    making.close()
    loading.close()
  }
  return { cases, close }
}

/** Records in one call. */
const batch = 1_000

/** Many records in one call: nanoseconds a record. */
function manyCases(): CaseGroup {
  const factory = new SessionFactory(configuration())
  const session = factory.getSession(partition)
  const cases = sizes.flatMap((size): TimedCase[] => {
    const datas = Array.from({ length: batch }, () => randomBytes(size))
    const texts = datas.map((data) => data.toString('hex').slice(0, size))
    const records = datas.map((data) => session.encrypt(data))
    const textRecords = texts.map((text) => session.encryptString(text))
    const timed = (
      operation: string,
      core: 'encrypt' | 'decrypt',
      call: () => readonly { error: unknown }[],
    ): TimedCase => ({
      name: `session, ${operation} ${sizeName(size)}, ${batch.toLocaleString('en')} a call`,
      group: 'many',
      unit: 'ns',
      comparison: { against: coreFigure(core, size), by: 'ratio', ...bar(size === small ? 1.6 : undefined) },
      calls: 20_000,
      run: (calls) => {
        for (let done = 0; done < calls; done += batch) {
          if (call()[0]?.error !== undefined) throw new Error(`${operation} failed`)
        }
      },
    })
    return [
      timed('encryptMany', 'encrypt', () => session.encryptMany(datas)),
      timed('decryptMany', 'decrypt', () => session.decryptMany(records)),
      timed('encryptStringMany', 'encrypt', () => session.encryptStringMany(texts)),
      timed('decryptStringMany', 'decrypt', () => session.decryptStringMany(textRecords)),
    ]
  })
  return { cases, close: () => factory.close() }
}

/**
 * Payloads of megabytes: at least 70 % of the throughput of the core's loop, which writes to the same memory again and again;
 * and beside its loop over memory that was not used just before, as V8 leaves it.
 */
function largeCases(): CaseGroup {
  const factory = new SessionFactory(configuration())
  const session = factory.getSession(partition)
  const cases = [1 << 20, 32 << 20].flatMap((size): TimedCase[] => {
    const data = randomBytes(size)
    const record = session.encrypt(data)
    const recordBytes = Buffer.from(record)
    const calls = Math.max(4, (128 << 20) / size)
    const timed = (operation: 'encrypt' | 'decrypt', call: () => unknown, form = ''): TimedCase => ({
      name: `${syncFigure(operation, size)}${form}`,
      group: 'large',
      unit: 'ns',
      comparison: { against: coreFigure(operation, size), by: 'ratio', most: 1 / 0.7 },
      also: {
        name: `${syncFigure(operation, size)}${form}, of results kept`,
        comparison: { against: freshCoreFigure(operation, size), by: 'ratio' },
      },
      calls,
      run: repeatedly(call),
    })
    return [
      timed('encrypt', () => session.encrypt(data)),
      timed('decrypt', () => session.decrypt(record)),
      timed('decrypt', () => session.decrypt(recordBytes), ', a record given as bytes'),
    ]
  })
  return { cases, close: () => factory.close() }
}

function bar(most: number | undefined): { most?: number } {
  return most === undefined ? {} : { most }
}
