import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { type AsherahSession, clearPlaintext, SessionFactory } from 'asherah'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import { Latencies, shownNanoseconds } from '../data/latency.ts'
import { stateOf } from '../key-view.ts'
import { type Opened, withMetastore } from '../opened.ts'
import { typedDuration } from '../times.ts'

/** Calls before the first one that counts: what is compiled and cached by then stays so. */
const warmUps = 2000
const mostBytes = 64 * 1024 * 1024
/** How long the event loop gets no turn. */
const chunkMs = 20
const barWidth = 40

/** Measures encryption and decryption with this very configuration: its metastore, its KMS, this machine. */
export const benchCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare: (command) => {
    command
      .option('--partition <id>', 'whose key is used; made with --yes where it has none', 'asherah-bench')
      .option('--sizes <bytes>', 'payloads, in bytes', '64,1024,16384')
      .option('--time <duration>', 'how long each measurement takes', '1s')
      .option('--cold <n>', 'measure n new partitions too: their keys are written, and deleted in the end')
  },
  run: (context, { options }) =>
    withMetastore(context, async (opened) => {
      const partition = String(options['partition'])
      const sizes = sizesOf(options['sizes'])
      const milliseconds = typedDuration('--time', String(options['time']))
      const cold = coldOf(options['cold'])
      const missing = (await hasKey(opened, partition)) ? 0 : 1
      const keys = missing + cold
      if (keys > 0 && !context.confirmed) {
        const made = missing === 1 ? ` One is for the partition ${JSON.stringify(partition)}.` : ''
        await context.output.tell({ dryRun: true, keys }, () =>
          [
            `This was a dry run: nothing was measured. With --yes it would write ${keys} ${keys === 1 ? 'key' : 'keys'}.${made}`,
            ...(missing === 1 ? ['--partition ID measures one that has a key.'] : []),
          ].join('\n'),
        )
        return undefined
      }
      const doing = async (): Promise<void> => {
        await warm(context, partition, sizes, milliseconds)
        if (cold > 0) await measureCold(context, opened, cold)
      }
      if (keys > 0) await context.act({ bench: partition, keys }, doing)
      else await doing()
      return undefined
    }),
}

function sizesOf(text: unknown): readonly number[] {
  const sizes = String(text)
    .split(',')
    .map((size) => (/^\d{1,8}$/.test(size.trim()) ? Number(size) : -1))
  if (sizes.every((size) => size >= 0 && size <= mostBytes)) return sizes
  throw new CommandError(
    'ERR_USAGE',
    `--sizes must be whole numbers from 0 to ${mostBytes}`,
    '--sizes 64,1024',
  )
}

function coldOf(text: unknown): number {
  if (text === undefined) return 0
  const count = typeof text === 'string' && /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (count >= 1) return count
  throw new CommandError('ERR_USAGE', '--cold must be a whole number from 1 to 99999')
}

/** Whether encrypting would write no key. */
async function hasKey({ metastore, ids, config }: Opened, partition: string): Promise<boolean> {
  const keyId = ids.intermediateKeyId(partition)
  const record = await metastore.loadLatest(keyId)
  if (record === undefined || stateOf({ record }, config) !== 'valid') return false
  const parent = record.parentKeyMeta
  const system = parent === undefined ? undefined : await metastore.load(parent.keyId, parent.created)
  return system !== undefined && stateOf({ record: system }, config) === 'valid'
}

async function warm(
  context: CommandContext,
  partition: string,
  sizes: readonly number[],
  milliseconds: number,
): Promise<void> {
  const factory = new SessionFactory(context.configuration())
  try {
    await factory.warm([partition])
    const session = factory.getSession(partition)
    for (const bytes of sizes) {
      const data = randomBytes(bytes)
      const record = await session.encryptAsync(data)
      clearPlaintext(await session.decryptAsync(record))
      const encrypt = await measure(context, milliseconds, () => session.encrypt(data))
      await tell(context, `encrypt ${bytes} bytes`, { operation: 'encrypt', bytes }, encrypt)
      const decrypt = await measure(context, milliseconds, () => session.decrypt(record))
      await tell(context, `decrypt ${bytes} bytes`, { operation: 'decrypt', bytes }, decrypt)
    }
  } finally {
    await factory.closeAsync()
  }
}

async function measure(
  context: CommandContext,
  milliseconds: number,
  operation: () => unknown,
): Promise<Latencies> {
  const latencies = new Latencies()
  const began = performance.now()
  // Large payloads take long enough to be warm at once.
  for (let count = 0; count < warmUps && performance.now() - began < milliseconds / 4; count++) operation()
  const end = performance.now() + milliseconds
  while (performance.now() < end) {
    // Signals arrive only where the event loop gets a turn.
    await turn()
    await context.checkInterrupted()
    const chunkEnd = performance.now() + chunkMs
    while (performance.now() < chunkEnd) {
      const from = performance.now()
      operation()
      latencies.add(performance.now() - from)
    }
  }
  return latencies
}

/** Partitions that nobody has: encrypting writes a key, and decrypting with another factory loads it. */
async function measureCold(context: CommandContext, opened: Opened, count: number): Promise<void> {
  const run = randomBytes(6).toString('hex')
  const partitions = Array.from({ length: count }, (_, index) => `asherah-bench-${run}-${index}`)
  try {
    const records = new Map<string, string>()
    const encrypt = await measureOnce(context, partitions, async (session) => {
      records.set(session.partitionId, await session.encryptAsync(Buffer.alloc(64)))
    })
    await tell(context, `encrypt, cold, ${count} partitions`, { operation: 'encrypt', cold: true }, encrypt)
    const decrypt = await measureOnce(context, partitions, (session) =>
      session.decryptAsync(records.get(session.partitionId) ?? ''),
    )
    await tell(context, `decrypt, cold, ${count} partitions`, { operation: 'decrypt', cold: true }, decrypt)
  } finally {
    await removeKeys(opened, partitions)
  }
}

/** One operation in each partition, with a factory that knows none of them. */
async function measureOnce(
  context: CommandContext,
  partitions: readonly string[],
  operation: (session: AsherahSession) => Promise<unknown>,
): Promise<Latencies> {
  const latencies = new Latencies()
  const factory = new SessionFactory(context.configuration())
  const progress = context.progress('measuring', partitions.length)
  try {
    for (const partition of partitions) {
      await context.checkInterrupted()
      const session = factory.getSession(partition)
      const from = performance.now()
      await operation(session)
      latencies.add(performance.now() - from)
      session.close()
      progress.advance()
    }
    return latencies
  } finally {
    progress.stop()
    await factory.closeAsync()
  }
}

async function removeKeys({ admin, ids }: Opened, partitions: readonly string[]): Promise<void> {
  for (const partition of partitions) {
    for await (const { keyId, created } of admin.rows({ keyId: ids.intermediateKeyId(partition) })) {
      await admin.remove(keyId, created)
    }
  }
}

async function tell(
  context: CommandContext,
  title: string,
  what: object,
  latencies: Latencies,
): Promise<void> {
  const figures = latencies.figures()
  await context.output.tell({ ...what, ...figures, unit: 'ns' }, () => {
    const { operations, perSecond, p50, p90, p99, p999, max } = figures
    const shown = Object.entries({ p50, p90, p99, 'p99.9': p999, max })
      .map(([name, value]) => `${name} ${shownNanoseconds(value)}`)
      .join('  ')
    return [
      `${title}: ${operations} operations, ${perSecond} a second`,
      `  ${shown}`,
      ...latencies.drawing(barWidth),
    ].join('\n')
  })
}
