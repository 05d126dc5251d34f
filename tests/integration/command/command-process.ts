import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { testServers } from '../../support/servers/test-servers.ts'

const main = fileURLToPath(new URL('../../../packages/cli/src/main.ts', import.meta.url))
const limitMs = 60_000

/** What a command printed, and how it ended. */
export interface Ended {
  readonly code: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

/** A folder of its own in which `asherah` is run against the servers of the tests. */
export class CommandFolder {
  readonly path: string
  readonly #environment: NodeJS.ProcessEnv

  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.path = mkdtempSync(join(tmpdir(), 'asherah-command-'))
    const { PATH, NODE_OPTIONS } = process.env
    this.#environment = {
      PATH,
      ...(NODE_OPTIONS !== undefined && { NODE_OPTIONS }),
      HOME: this.path,
      AWS_ENDPOINT_URL: testServers().moto.endpoint,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      ...environment,
    }
  }

  /** Writes a configuration and answers with its path. */
  write(name: string, value: object): string {
    const path = join(this.path, name)
    writeFileSync(path, JSON.stringify(value), { mode: 0o600 })
    return path
  }

  run(...args: readonly string[]): Promise<Ended> {
    return this.#execute(process.execPath, [main, ...args])
  }

  /** In a shell that does something first, such as to set a limit. */
  runAfter(preparation: string, ...args: readonly string[]): Promise<Ended> {
    return this.#execute('sh', ['-c', `${preparation}; exec "$@"`, 'sh', process.execPath, main, ...args])
  }

  /** Each line of the answers, with `--json`. */
  async json(...args: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return jsonLines((await this.run(...args, '--json')).stdout)
  }

  /** Each line of the log of what was done. */
  log(): readonly Readonly<Record<string, unknown>>[] {
    return jsonLines(readFileSync(join(this.path, 'asherah-actions.log'), 'utf8'))
  }

  start(...args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [main, ...args], {
      cwd: this.path,
      env: this.#environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  remove(): void {
    rmSync(this.path, { recursive: true })
  }

  #execute(file: string, args: readonly string[]): Promise<Ended> {
    const options = { cwd: this.path, env: this.#environment, encoding: 'utf8', timeout: limitMs } as const
    return new Promise((resolve) => {
      execFile(file, [...args], options, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      )
    })
  }
}

export function jsonLines(text: string): readonly Readonly<Record<string, unknown>>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
