import { CommandError } from './command-error.ts'

/** Whoever read the answers, such as `head`, has enough. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone'
}

/**
 * Writes to stdout, and waits while its reader is slow, so that nothing piles up. When it resolves, the data is not needed any more.
 *
 * @throws ReaderGone; CommandError `ERR_OUTPUT` when it cannot be written, as on a full disk
 */
export async function writeOut(stdout: NodeJS.WriteStream, data: string | Uint8Array): Promise<void> {
  const error = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
    stdout.write(data, resolve)
  })
  if (error === null || error === undefined) return
  if (error.code === 'EPIPE') throw new ReaderGone()
  const message = `stdout cannot be written (${error.code ?? 'unknown error'})`
  throw new CommandError('ERR_OUTPUT', message, undefined, { cause: error })
}
