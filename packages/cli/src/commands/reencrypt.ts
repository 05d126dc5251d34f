import { readFileSync } from 'node:fs'
import { SessionFactory } from 'asherah'
import { parseDuration } from 'asherah/admin'
import { type Command, Option } from 'commander'
import type { CommandSpec } from '../command.ts'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import type { Options } from '../configuration/sources.ts'
import { convertRows } from '../data/convert-rows.ts'
import { renewedCells } from '../data/file-renewal.ts'
import { readRange, splitRange } from '../data/key-ranges.ts'
import { openRecordTable } from '../data/open-record-table.ts'
import { RateLimit } from '../data/rate-limit.ts'
import type { KeyRange, RecordTable, TableNames } from '../data/record-table.ts'
import { type Streams, withStreams } from '../data/record-work.ts'
import { Renewal, type Staleness } from '../data/renewal.ts'
import { keyText, readKey } from '../data/row-key.ts'
import { readColumns, readRowFormat, rowsOf } from '../data/row-options.ts'
import { identityOf, statePath } from '../data/run-identity.ts'
import { RunState } from '../data/run-state.ts'
import type { Sink } from '../data/sink.ts'
import { TableRenewal } from '../data/table-renewal.ts'
import { type Counts, Tally } from '../data/tally.ts'
import { openSource } from '../data/text-source.ts'
import { type ExitCode, exitCode } from '../exit-code.ts'
import { withMetastore } from '../opened.ts'
import { typedTime } from '../times.ts'

/**
 * Seals records anew whose intermediate key is to be left behind. Which ones are done shows in themselves, and each takes the
 * place of exactly the one that was read, so it can be stopped, killed and run many times over.
 */
export const reencryptCommand: CommandSpec = {
  configured: true,
  destructive: true,
  declare,
  run: async (context, { options }) => {
    if (options['table'] === undefined) return reencryptFile(context, options)
    if (options['format'] !== undefined || options['in'] !== undefined || options['out'] !== undefined) {
      throw new CommandError('ERR_USAGE', 'records are either in a table or in a file')
    }
    const names = readTableNames(options)
    const range = readRange(options, names)
    const table = await openRecordTable(urlOf(options['urlFile']), context.configuration(), names)
    try {
      if (options['split'] !== undefined) return await tellSplit(context, table, options, range)
      return await reencryptTable(context, options, table, names, range)
    } finally {
      await table.close()
    }
  },
}

function declare(command: Command): void {
  command
    .option('--older-than <time>', 'records whose key is older: 90d, or was made before 2026-11-22')
    .option('--revoked', 'records whose key is marked as revoked')
    .option('--columns <names>', 'the columns that are records, a,b')
    .option('--partition <id>', 'whose records these are')
    .option('--partition-column <name>', 'the column that names the partition of each row')
    .option('--table <name>', 'the table that the records are in, NAME or SCHEMA.NAME')
    .option('--key-column <names>', 'with --table: its primary key, or what else is unique, a,b', 'id')
    .option('--url-file <file>', 'with --table: file with the connection string; the metastore without')
    .option('--from <key>', 'with --table: rows above this key only')
    .option('--to <key>', 'with --table: rows up to this key only')
    .option('--split <n>', 'with --table: print n ranges of keys of the same size, and do nothing')
    .option('--rows-per-second <n>', 'with --table: at most so many rows a second')
    .option(
      '--state <file>',
      'with --table: where an unfinished run goes on (default: ./asherah-reencrypt-…)',
    )
    .addOption(new Option('--format <format>', 'rows of text in place of a table').choices(['csv', 'jsonl']))
    .option('--in <file>', 'with --format: what is read; stdin without')
    .option('--out <file>', 'with --format: where the result goes; stdout without')
    .option('--force', 'with --format: replace the file of --out when it is there already')
    .option('--delimiter <character>', 'with csv: what is between columns', ',')
}

function readTableNames(options: Options): TableNames {
  const { table, keyColumn, partition, partitionColumn } = options
  if ((partition === undefined) === (partitionColumn === undefined)) {
    throw new CommandError(
      'ERR_USAGE',
      'rows need either one partition or the column that names it',
      '--partition ID, or --partition-column NAME',
    )
  }
  const keyColumns = readColumns('--key-column', keyColumn)
  const columns = readColumns('--columns', options['columns'])
  if (columns.some((name) => keyColumns.includes(name) || name === partitionColumn)) {
    throw new CommandError('ERR_USAGE', 'a column that names the row or its partition is no record')
  }
  return {
    table: String(table),
    keyColumns,
    columns,
    partitionColumn: typeof partitionColumn === 'string' ? partitionColumn : undefined,
  }
}

function urlOf(path: unknown): string | undefined {
  if (typeof path !== 'string') return undefined
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException
    throw new CommandError('ERR_CONFIG_FILE', `${path} cannot be read (${code})`, undefined, { cause })
  }
}

/** @throws CommandError `ERR_USAGE` when it is said of no record that it is stale */
function readStaleness({ olderThan, revoked }: Options): Staleness {
  if (olderThan === undefined && revoked !== true) {
    throw new CommandError(
      'ERR_USAGE',
      'it is not said which records',
      '--older-than TIME, --revoked, or both',
    )
  }
  return { before: beforeOf(olderThan), revoked: revoked === true }
}

function beforeOf(olderThan: unknown): number | undefined {
  if (typeof olderThan !== 'string') return undefined
  const age = parseDuration(olderThan)
  return age === undefined ? typedTime('--older-than', olderThan) : Math.floor((Date.now() - age) / 1000)
}

function wholeNumber(flag: string, value: unknown, most: number): number | undefined {
  if (value === undefined) return undefined
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : 0
  if (number >= 1 && number <= most) return number
  throw new CommandError('ERR_USAGE', `${flag} must be a whole number from 1 to ${most}`)
}

/** Prints ranges of keys of the same size, as flags. */
async function tellSplit(
  context: CommandContext,
  table: RecordTable,
  options: Options,
  range: KeyRange,
): Promise<undefined> {
  const parts = wholeNumber('--split', options['split'], 1000) ?? 1
  for await (const { after, to } of splitRange(table, range, parts)) {
    const bounds = {
      ...(after !== undefined && { from: keyText(after) }),
      ...(to !== undefined && { to: keyText(to) }),
    }
    await context.output.tell(bounds, () =>
      Object.entries(bounds)
        .map(([flag, key]) => `--${flag}=${shellWord(key)}`)
        .join(' '),
    )
  }
  return undefined
}

function shellWord(text: string): string {
  return /^[\w.:@%+=/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

async function reencryptTable(
  context: CommandContext,
  options: Options,
  table: RecordTable,
  names: TableNames,
  typedRange: KeyRange,
): Promise<ExitCode | undefined> {
  const typed = readStaleness(options)
  const identity = identityOf(options, names)
  const state = new RunState(statePath(options, identity), identity)
  const earlier = context.confirmed ? state.read() : undefined
  const staleness = { ...typed, before: earlier?.before ?? typed.before }
  const limit = new RateLimit(
    wholeNumber('--rows-per-second', options['rowsPerSecond'], 1_000_000),
    context.signal,
  )
  const range =
    earlier === undefined
      ? typedRange
      : { ...typedRange, after: readKey(`the key in ${state.path}`, earlier.last, names.keyColumns) }
  const { partition } = identity
  return withKeys(context, staleness, async (renewal) => {
    const work = { table, names, partition, renewal, limit, dryRun: !context.confirmed }
    const run = new TableRenewal(context, work, earlier?.counts)
    // Counting reads the whole index: only where somebody looks.
    const total = context.host.stderr.isTTY ? await table.count(range) : 0
    const progress = context.progress('re-encrypting', total)
    const doing = (): Promise<void> =>
      run.run(range, (last, rows) => {
        progress.advance(rows)
        if (!context.confirmed) return
        const { before } = staleness
        state.write({
          ...(before !== undefined && { before }),
          last: keyText(last),
          counts: { ...run.tally },
        })
      })
    try {
      // The log is written from the same object twice: first without counts, in the end with them.
      if (context.confirmed) await context.act({ reencrypt: identity, counts: run.tally }, doing)
      else await doing()
    } finally {
      progress.stop()
    }
    if (context.confirmed) state.remove()
    return tellCounts(context, run.tally)
  })
}

async function reencryptFile(context: CommandContext, options: Options): Promise<ExitCode | undefined> {
  const format = options['format'] === undefined ? undefined : readRowFormat(options)
  if (format === undefined) {
    const hint = '--table NAME, or --format csv|jsonl'
    throw new CommandError('ERR_USAGE', 'it is not said where the records are', hint)
  }
  const staleness = readStaleness(options)
  const tally = new Tally()
  return withKeys(context, staleness, async (renewal) => {
    const renew = async ({ source, onBytes }: Omit<Streams, 'sink'>, sink: Pick<Sink, 'write'>) => {
      const stream = rowsOf(source, format, { read: 'strings', written: 'strings' }, onBytes)
      const convert = renewedCells(context, renewal, { ...format, source: source.name }, tally)
      await convertRows(stream, sink, convert, () => context.checkInterrupted())
    }
    const { in: input, out } = options
    if (!context.confirmed) {
      const source = openSource(typeof input === 'string' ? input : undefined, context.host)
      await renew({ source, onBytes: () => undefined }, { write: async () => undefined })
      return tellCounts(context, tally)
    }
    const { columns, partitionColumn } = format.plan
    await context.act({ reencrypt: { in: input, out, columns, partitionColumn }, counts: tally }, () =>
      withStreams(context, options, 're-encrypting', async (streams) => {
        await renew(streams, streams.sink)
        return { summary: { dryRun: false, ...tally }, text: countsText(tally) }
      }),
    )
    return codeOf(tally)
  })
}

/** Opens what sealing anew needs. */
function withKeys<T>(
  context: CommandContext,
  staleness: Staleness,
  work: (renewal: Renewal) => Promise<T>,
): Promise<T> {
  return withMetastore(context, async (opened) => {
    const factory = new SessionFactory(context.configuration())
    try {
      return await work(new Renewal(factory, opened.admin, staleness, !context.confirmed))
    } finally {
      await factory.closeAsync()
    }
  })
}

async function tellCounts(context: CommandContext, tally: Counts): Promise<ExitCode | undefined> {
  const dryRun = !context.confirmed
  await context.output.tell({ dryRun, ...tally }, () =>
    dryRun
      ? `This was a dry run: nothing was changed. With --yes it would seal ${tally.renewed} records of ${tally.rows} rows anew.`
      : countsText(tally),
  )
  return codeOf(tally)
}

function countsText({ rows, renewed, current, unreadable, busy }: Counts): string {
  return [
    `${rows} rows: ${renewed} records were sealed anew, ${current} need not be.`,
    ...(unreadable > 0 ? [`${unreadable} could not be read, and are as they were.`] : []),
    ...(busy > 0
      ? [`${busy} were held or changed by others each time: type the same command again for them.`]
      : []),
  ].join('\n')
}

function codeOf({ unreadable, busy }: Counts): ExitCode | undefined {
  if (busy > 0) return exitCode.unfinished
  return unreadable > 0 ? exitCode.found : undefined
}
