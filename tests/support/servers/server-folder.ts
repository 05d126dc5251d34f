import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { runTool } from './tool.ts'

/** The environment variable that names the file with the addresses of the servers that all test files share. */
export const serversVariable = 'ASHERAH_TEST_SERVERS'

/**
 * A folder of its own for a server, owned by `user` where this process is root. Its path is short: the address of a Unix
 * socket has 107 bytes. In a test process it lies in the run's own folder, so that it goes with it whatever becomes of
 * the test.
 */
export async function createServerFolder(name: string, user?: string): Promise<string> {
  const run = process.env[serversVariable]
  const folder =
    run === undefined
      ? mkdtempSync(join(tmpdir(), `asherah-${name}-`))
      : mkdtempSync(join(dirname(run), `${name}-`))
  if (user !== undefined && process.getuid?.() === 0) {
    const [uid, gid] = await Promise.all([runTool('id', ['-u', user]), runTool('id', ['-g', user])])
    chownSync(folder, Number(uid), Number(gid))
  }
  return folder
}

/**
 * The folder of a whole run: others may pass through it, but not read it. It carries this process's id, and those of
 * runs that were killed before they could clean up are removed on the way.
 */
export function createRunFolder(): string {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = /^asherah-run-(\d+)-/.exec(name) ?? []
    if (pid !== undefined && !isAlive(Number(pid))) removeServerFolder(join(tmpdir(), name))
  }
  const folder = mkdtempSync(join(tmpdir(), `asherah-run-${process.pid}-`))
  chmodSync(folder, 0o711)
  return folder
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process is alive as well: EPERM.
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH')
  }
}

/** Removes a server's folder and all in it. */
export function removeServerFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 })
}
