import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { OracleRow } from '../support/oracle.ts'

const main = join(import.meta.dirname, '..', '..', 'samples', 'protect-columns', 'main.ts')

export interface Finished {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface JobOptions {
  /** Flags of Node itself. */
  readonly nodeFlags?: readonly string[]
  /** Without root's right to read whatever it likes. */
  readonly unprivileged?: boolean
  /** Called again and again until it answers true; the job then gets a SIGINT. */
  readonly interruptWhen?: () => boolean
}

/** A folder of its own for one test, in which the job runs as a user would run it. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'protect-columns-'))

  /** Runs `npm start`'s program to its end. */
  run(args: readonly string[], options: JobOptions = {}): Promise<Finished> {
    const { nodeFlags = [], unprivileged = false, interruptWhen } = options
    return new Promise((resolve, reject) => {
      const command = [process.execPath, ...nodeFlags, main, ...args]
      // The user stays, so that it can still read a checkout that is only its own.
      if (unprivileged && process.getuid?.() === 0) {
        command.unshift('setpriv', '--bounding-set=-dac_override,-dac_read_search')
      }
      const [program = '', ...rest] = command
      const child = spawn(program, rest, {
        cwd: this.path,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 120_000,
      })
      const output = { stdout: '', stderr: '' }
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output.stdout += text
      })
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output.stderr += text
      })
      const watch = setInterval(() => {
        if (interruptWhen?.() !== true) return
        clearInterval(watch)
        child.kill('SIGINT')
      }, 5)
      child.on('error', reject)
      child.on('close', (code) => {
        clearInterval(watch)
        resolve({ code, ...output })
      })
    })
  }

  file(name: string): string {
    return join(this.path, name)
  }

  /** Runs one statement on a database of the job. */
  sql(database: string, statement: string, ...values: string[]): Record<string, unknown>[] {
    const connection = new DatabaseSync(this.file(database), { timeout: 5000 })
    try {
      return connection.prepare(statement).all(...values)
    } finally {
      connection.close()
    }
  }

  /** The key rows as the oracle takes them. */
  keyRows(database: string): OracleRow[] {
    return this.sql(database, 'SELECT id, key_record FROM encryption_key').map((row) => {
      const keyRecord = String(row['key_record'])
      return { id: String(row['id']), created: Number(JSON.parse(keyRecord).Created), keyRecord }
    })
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
