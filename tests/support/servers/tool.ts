import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { launcher } from './server-process.ts'

export interface ToolOptions {
  readonly env?: NodeJS.ProcessEnv
  /** The account to run under; used only where this process is root. */
  readonly user?: string
  /** Milliseconds; 60,000 by default. */
  readonly timeoutMs?: number
  readonly cwd?: string
}

/** Runs a command to its end and returns its standard output. Fails with all it printed when it does not exit with 0. */
export function runTool(
  command: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<string> {
  const { env = process.env, user, timeoutMs = 60_000, cwd = '/' } = options
  const [program, ...prefix] = user === undefined ? [] : launcher(user)
  const all = program === undefined ? args : [...prefix, command, ...args]
  return new Promise((resolve, reject) => {
    execFile(
      program ?? command,
      [...all],
      { env, cwd, timeout: timeoutMs, maxBuffer: 64 << 20, encoding: 'utf8' },
      (error, stdout, stderr) => {
        if (error === null) resolve(stdout)
        else reject(new Error(`${command} failed: ${stderr || stdout || error.message}`, { cause: error }))
      },
    )
  })
}

/** As {@link runTool}, with `input` on standard input. */
export function runToolWithInput(command: string, args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 })
    const output: Buffer[] = []
    const errors: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    // The exit code tells what became of input that was not read.
    child.stdin.on('error', () => undefined)
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(output).toString('utf8'))
      else reject(new Error(`${command} failed with ${code}: ${Buffer.concat(errors).toString('utf8')}`))
    })
    child.stdin.end(input)
  })
}

/** The file of a program, looked for on PATH and then in `folders`. */
export function findProgram(name: string, folders: readonly string[] = []): string {
  const found = lookForProgram(name, folders)
  if (found === undefined)
    throw new Error(`${name} is missing: run the tests with \`npm run test:integration\``)
  return found
}

/** As {@link findProgram}; undefined where there is none. */
export function lookForProgram(name: string, folders: readonly string[] = []): string | undefined {
  const all = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', ...folders]
  return all.map((folder) => join(folder, name)).find((file) => existsSync(file))
}
