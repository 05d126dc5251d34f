import { SessionFactory } from 'asherah'
import type { CommandContext } from '../command-context.ts'
import { CommandError } from '../command-error.ts'
import type { Options } from '../configuration/sources.ts'
import { openSink, type Sink } from './sink.ts'
import { openSource, type Source } from './text-source.ts'

/** What is read, and where the result goes. */
export interface Streams {
  readonly source: Source
  readonly sink: Sink
  /** To be told of each piece that was read. */
  readonly onBytes: (count: number) => void
}

/** What a command that reads and writes has to say in the end. */
export interface Summary {
  readonly summary: object
  readonly text: string
}

/**
 * Opens the input and the output for as long as `work` takes, and tells its answer: on stdout where that is free, else on
 * stderr with `--json` only. A result that is not whole never gets its name.
 */
export async function withStreams(
  context: CommandContext,
  options: Options,
  verb: string,
  work: (streams: Streams) => Promise<Summary>,
): Promise<void> {
  const { host, output } = context
  const out = typeof options['out'] === 'string' ? options['out'] : undefined
  const source = openSource(typeof options['in'] === 'string' ? options['in'] : undefined, host)
  const sink = await openSink(out, options['force'] === true, host.stdout)
  // Without its size there is nothing to measure the progress by; and data on a terminal leaves no room for it.
  const { bytes } = source
  const shown = bytes !== undefined && (out !== undefined || !host.stdout.isTTY)
  const bar = shown ? context.progress(verb, bytes) : undefined
  try {
    const { summary, text } = await work({ source, sink, onBytes: (count) => bar?.advance(count) })
    await context.checkInterrupted()
    await sink.finish()
    bar?.stop()
    if (out !== undefined) await output.tell(summary, () => text)
    else output.tellAside(summary)
  } finally {
    bar?.stop()
    await sink.discard()
  }
}

/** {@link withStreams}, with a factory. */
export async function withRecords(
  context: CommandContext,
  options: Options,
  verb: string,
  work: (streams: Streams, factory: SessionFactory) => Promise<Summary>,
): Promise<void> {
  const resolved = context.configuration()
  for (const notice of resolved.config.notices) context.output.note(`note: ${notice}`)
  const factory = new SessionFactory(resolved)
  try {
    await withStreams(context, options, verb, (streams) => work(streams, factory))
  } finally {
    await factory.closeAsync()
  }
}

/** `--partition`, which a whole input needs. */
export function wholePartition({ partition }: Options): string {
  if (typeof partition === 'string' && partition !== '') return partition
  throw new CommandError('ERR_USAGE', 'no partition is named', '--partition ID')
}
