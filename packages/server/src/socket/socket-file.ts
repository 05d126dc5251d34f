import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  type Stats,
  unlinkSync,
} from 'node:fs'
import { connect, type Server } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { ServerError, systemCode } from '../errors.ts'
import { mostPathBytes, type SocketSettings } from '../settings/serve-settings.ts'

const probeTimeoutMs = 2000

/**
 * The path of a Unix socket that a server listens on.
 *
 * The socket is made in a folder that only this user may enter, gets its owner and mode there, and appears at its path by
 * a hard link, which never replaces anything. So there is no moment in which others than those meant can connect, and of
 * two servers that start at once, one is told that the other lives.
 */
export class SocketFile {
  readonly path: string
  readonly #device: number
  readonly #inode: number

  private constructor(path: string, { dev, ino }: Stats) {
    this.path = path
    this.#device = dev
    this.#inode = ino
  }

  /**
   * Has `server` listen there. A socket on which nobody listens is replaced.
   *
   * @throws ServerError `ERR_SOCKET_IN_USE` when somebody does, `ERR_SOCKET_OCCUPIED` when there is something that is no
   *   socket, `ERR_SOCKET_PATH` when the path is too long or its folder cannot be used, `ERR_LISTEN`.
   */
  static async listen(server: Server, { path, mode, owner }: SocketSettings): Promise<SocketFile> {
    const folder = privateFolder(path)
    const own = join(folder, 's')
    try {
      // The mode is taken from the socket that listen makes: what the umask gives, unless one is wanted.
      await listening(server, own, path)
      if (owner !== undefined) chownSync(own, owner.user ?? -1, owner.group ?? -1)
      if (mode !== undefined) chmodSync(own, mode)
      const made = lstatSync(own)
      await publish(own, path)
      return new SocketFile(path, made)
    } catch (error) {
      server.close()
      throw error instanceof ServerError ? error : pathError(path, error)
    } finally {
      rmSync(own, { force: true })
      rmdirSync(folder)
    }
  }

  /** Removes the socket, if it is still this one. */
  remove(): void {
    const found = statOf(this.path)
    if (found?.ino === this.#inode && found.dev === this.#device) rmSync(this.path, { force: true })
  }
}

function privateFolder(path: string): string {
  const parent = dirname(path)
  const length = Math.max(Buffer.byteLength(path), Buffer.byteLength(join(parent, '.aXXXXXX', 's')))
  if (length > mostPathBytes) {
    throw new ServerError(
      'ERR_SOCKET_PATH',
      `the path of the socket is ${length - mostPathBytes} bytes too long for this system; type --socket-file with a shorter one`,
    )
  }
  try {
    return mkdtempSync(join(parent, '.a'))
  } catch (error) {
    throw pathError(path, error)
  }
}

async function listening(server: Server, own: string, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const refused = (error: unknown): void => {
      const message = `the socket ${path} cannot be listened on (${systemCode(error)})`
      reject(new ServerError('ERR_LISTEN', message, { cause: error }))
    }
    server.once('error', refused)
    server.listen(own, () => {
      server.off('error', refused)
      resolve()
    })
  })
}

/** Makes the socket appear at its path, in place of none or of one on which nobody listens. */
async function publish(own: string, path: string): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      linkSync(own, path)
      return
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error
    }
    const present = statOf(path)
    if (present === undefined) continue
    if (!present.isSocket()) {
      throw new ServerError(
        'ERR_SOCKET_OCCUPIED',
        `${path} exists and is no socket, so it is left alone; move it away, or type --socket-file with another path`,
      )
    }
    if (await isAlive(path)) throw inUse(path)
    takeAway(path, present, join(dirname(own), 'stale'))
  }
  throw inUse(path)
}

/** Removes the socket that was found dead. A new one that came meanwhile is put back. */
function takeAway(path: string, dead: Stats, aside: string): void {
  try {
    renameSync(path, aside)
  } catch (error) {
    // Another server has just taken it away.
    if (systemCode(error) === 'ENOENT') return
    throw error
  }
  const taken = lstatSync(aside)
  try {
    if (taken.ino === dead.ino && taken.dev === dead.dev) return
    linkSync(aside, path)
    throw inUse(path)
  } finally {
    unlinkSync(aside)
  }
}

/** Whether somebody listens; what cannot be told, such as no permission to ask, counts as yes. */
async function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const answer = (alive: boolean): void => {
      socket.destroy()
      resolve(alive)
    }
    socket.setTimeout(probeTimeoutMs, () => answer(true))
    socket.once('connect', () => answer(true))
    socket.once('error', (error) => answer(!['ECONNREFUSED', 'ENOENT'].includes(systemCode(error))))
  })
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}

function inUse(path: string): ServerError {
  return new ServerError(
    'ERR_SOCKET_IN_USE',
    `a server listens on ${path}; stop it, or type --socket-file with another path`,
  )
}

function pathError(path: string, error: unknown): ServerError {
  return new ServerError(
    'ERR_SOCKET_PATH',
    `the socket ${basename(path)} cannot be made in ${dirname(path)} (${systemCode(error)}); ` +
      'make that folder writable for this user, or type --socket-file with another path',
    { cause: error },
  )
}
