import { createReadStream, statSync } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import type { CommandHost } from '../command-context.ts'
import { CommandError } from '../command-error.ts'

/** Bytes that are read once, piece by piece. */
export interface Source {
  /** For messages: a path, or `stdin`. */
  readonly name: string
  /** Undefined when nobody knows: of a pipe. */
  readonly bytes: number | undefined
  readonly chunks: AsyncIterable<Uint8Array>
}

/** The file at `path`, or stdin without one. */
export function openSource(
  path: string | undefined,
  { stdin, signal }: Pick<CommandHost, 'stdin' | 'signal'>,
): Source {
  if (path === undefined)
    return { name: 'stdin', bytes: undefined, chunks: chunksOf('stdin', () => stdin, signal) }
  try {
    const stats = statSync(path)
    if (stats.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    const stream = (): Readable => createReadStream(path, { highWaterMark: 256 * 1024 })
    return {
      name: path,
      bytes: stats.isFile() ? stats.size : undefined,
      chunks: chunksOf(path, stream, signal),
    }
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

/** Whoever interrupts does not wait for a writer that is slow. */
async function* chunksOf(
  name: string,
  open: () => Readable,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* addAbortSignal(signal, open()) as AsyncIterable<Buffer>
  } catch (cause) {
    if (signal.aborted) throw new CommandError('ERR_INTERRUPTED', 'interrupted', undefined, { cause })
    throw unreadable(name, cause)
  }
}

/** All of it, which may be `most` bytes. */
export async function readWhole({ name, chunks }: Source, most: number): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of chunks) {
    length += chunk.length
    if (length > most) {
      throw new CommandError(
        'ERR_INPUT',
        `${name} is larger than ${most} bytes, the most of one record`,
        'encrypt it in parts, or as rows: --format csv|jsonl',
      )
    }
    parts.push(chunk)
  }
  const whole = Buffer.concat(parts, length)
  // They may be plaintext; whoever reads the whole clears that.
  for (const part of parts) part.fill(0)
  return whole
}

/**
 * The text in pieces, without its byte order mark. It must be UTF-8: any other bytes would not come back as they were.
 * `onBytes` is told of each piece that was read.
 */
export async function* readText(
  { name, chunks }: Source,
  onBytes: (count: number) => void,
): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true })
    } catch (cause) {
      throw new CommandError('ERR_INPUT', `${name} is not UTF-8 text`, 'convert it first: iconv', { cause })
    }
  }
  for await (const chunk of chunks) {
    onBytes(chunk.length)
    yield decode(chunk)
  }
  yield decode()
}

function unreadable(path: string, cause: unknown): CommandError {
  const { code = 'unknown error' } = cause as NodeJS.ErrnoException
  return new CommandError('ERR_INPUT', `${path} cannot be read (${code})`, undefined, { cause })
}
