import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** The repository's root folder. */
export const root = join(import.meta.dirname, '..')

/** The Node the user has, in contrast to the development one that runs the scripts. */
export const hostNode = process.env['ASHERAH_HOST_NODE'] ?? process.execPath

export interface Finished {
  readonly code: number
  /** Standard output and standard error in the order they came. */
  readonly output: string
}

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds after which the command is ended and counts as failed; 20 minutes by default. */
  readonly timeoutMs?: number
}

/** Runs a command to its end and collects what it prints. A command that cannot be started is one that failed. */
export function run(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Finished> {
  const { cwd = root, env = process.env, timeoutMs = 20 * 60_000 } = options
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const finish = (code: number, note = ''): void => {
      resolve({ code, output: Buffer.concat(chunks).toString('utf8') + note })
    }
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: timeoutMs })
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.on('error', (error) => finish(127, `${command}: ${error.message}\n`))
    child.on('close', (code, signal) => {
      finish(code ?? 1, signal === null ? '' : `${command} was ended by ${signal}\n`)
    })
  })
}

/** Runs a command that owns the terminal, and returns its exit code. */
export function runInForeground(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    // The terminal sends Ctrl-C to the command too, which decides; this process only waits for it.
    const ignore = (): void => undefined
    process.on('SIGINT', ignore)
    const child = spawn(command, args, { cwd: process.cwd(), stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => {
      process.off('SIGINT', ignore)
      resolve(code ?? 1)
    })
  })
}
