import { statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { getSystemErrorMessage } from 'node:util'
import { JobError } from './job-error.ts'

/** A regular file that is not empty. */
export interface TextFile {
  readonly path: string
  readonly bytes: number
}

/** @throws JobError `ERR_INPUT` for what is missing, no file, or empty */
export function findTextFile(path: string): TextFile {
  let stats: ReturnType<typeof statSync>
  try {
    stats = statSync(path)
  } catch (error) {
    throw unreadable(path, error)
  }
  if (stats.isDirectory()) {
    throw inputError(path, 'is a directory. Name a file in it: npm start -- FILE')
  }
  if (!stats.isFile())
    throw inputError(path, 'is not a regular file, which is read twice. Save it to one first')
  if (stats.size === 0) throw inputError(path, 'is empty. Give a CSV or JSON Lines file: npm start -- FILE')
  return { path, bytes: stats.size }
}

/**
 * The text in pieces, without its byte order mark, never more than one piece in memory. It must be UTF-8: any other
 * bytes would not come back as they were.
 *
 * @throws JobError `ERR_INPUT`
 */
export async function* readText(file: TextFile): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    await using handle = await open(file.path)
    // The chunks are Buffers, which the declaration of FileHandle leaves open.
    for await (const chunk of handle.createReadStream({
      highWaterMark: 64 * 1024,
    }) as AsyncIterable<Buffer>) {
      if (chunk.includes(0))
        throw inputError(file.path, 'is binary. Give a CSV or JSON Lines file: npm start -- FILE')
      yield decoder.decode(chunk, { stream: true })
    }
    yield decoder.decode()
  } catch (error) {
    if (error instanceof JobError) throw error
    if ((error as NodeJS.ErrnoException).code !== 'ERR_ENCODING_INVALID_ENCODED_DATA')
      throw unreadable(file.path, error)
    throw inputError(
      file.path,
      'is not UTF-8 text. Convert it, for instance: iconv -f latin1 -t utf-8 FILE > NEW',
    )
  }
}

/** An `ERR_INPUT` whose message begins with the file's name. */
export function inputError(path: string, problem: string, cause?: unknown): JobError {
  return new JobError('ERR_INPUT', `${path} ${problem}`, { cause })
}

function unreadable(path: string, error: unknown): JobError {
  const { code, errno } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return inputError(path, 'does not exist. Check the name, or try: npm start', error)
  if (errno === undefined) throw error
  return inputError(path, `cannot be read: ${getSystemErrorMessage(errno)}. Look at: ls -l ${path}`, error)
}
