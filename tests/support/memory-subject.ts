import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createDecipheriv, createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import type { AsherahConfig, FactoryStats } from 'asherah'
import type { NamedKey } from './key-patterns.ts'
import { explainRecord, type OracleMaster, type OracleRow } from './oracle.ts'

/** What the process is to seal and open. */
export interface SubjectWork {
  readonly records: number
  readonly partitions: number
  /** The file of records, one a line. */
  readonly file: string
  /** Whether every second call is synchronous; otherwise none is. */
  readonly synchronous: boolean
}

/** What can be asked of the process. */
export type SubjectCommand =
  | {
      readonly kind: 'open'
      readonly config: Omit<AsherahConfig, 'kms'> & { readonly kms?: string }
      /** Whether a KMS object, written by a user, stands in for `kms`. */
      readonly own: boolean
    }
  | { readonly kind: 'encrypt' | 'decrypt'; readonly work: SubjectWork }
  | { readonly kind: 'plant'; readonly masked: readonly number[] }
  | { readonly kind: 'warm'; readonly partitions: readonly string[] }
  | { readonly kind: 'remove' | 'stats' | 'rows' | 'close' }

/** The other process, whose memory is searched. */
export class MemorySubject {
  readonly #child: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #errors = ''

  private constructor(env: NodeJS.ProcessEnv) {
    const program = join(import.meta.dirname, 'memory-subject-program.ts')
    // Without the 8 GB of addresses that V8 reserves beside the memory of a WebAssembly module: gcore would read them all.
    const args = ['--disable-wasm-trap-handler', '--wasm-max-mem-pages=1024', program]
    this.#child = spawn(process.execPath, args, { env: { ...process.env, ...env } })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString()
    })
    // What happened to it shows in the answer that does not come.
    this.#child.stdin.on('error', () => undefined)
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  /** Starts one, with these variables beside those of this process. */
  static async start(env: NodeJS.ProcessEnv = {}): Promise<MemorySubject> {
    const subject = new MemorySubject(env)
    await once(subject.#child, 'spawn')
    return subject
  }

  get pid(): number {
    const { pid } = this.#child
    if (pid === undefined) throw new Error('the process did not start')
    return pid
  }

  async open(config: Omit<AsherahConfig, 'kms'> & { readonly kms?: string }): Promise<void> {
    await this.#ask({ kind: 'open', config, own: config.kms === undefined })
  }

  async encrypt(work: SubjectWork): Promise<void> {
    await this.#ask({ kind: 'encrypt', work })
  }

  async decrypt(work: SubjectWork): Promise<void> {
    await this.#ask({ kind: 'decrypt', work })
  }

  /** Loads the latest keys of these partitions; those of the work are `tenant-0`, `tenant-1` and so on. */
  async warm(partitions: readonly string[]): Promise<void> {
    await this.#ask({ kind: 'warm', partitions })
  }

  /** What its memory metastore, which is used where the configuration names it, was given to keep. */
  async rows(): Promise<OracleRow[]> {
    return (await this.#ask({ kind: 'rows' })) as OracleRow[]
  }

  async stats(): Promise<FactoryStats> {
    return (await this.#ask({ kind: 'stats' })) as FactoryStats
  }

  /** Closes the factory. */
  async close(): Promise<void> {
    await this.#ask({ kind: 'close' })
  }

  /** Puts the bytes into a Buffer there, and nowhere else. */
  async plant(bytes: Uint8Array): Promise<void> {
    await this.#ask({ kind: 'plant', masked: Array.from(bytes, (byte) => byte ^ 0xa5) })
  }

  /** Overwrites what was planted. */
  async remove(): Promise<void> {
    await this.#ask({ kind: 'remove' })
  }

  /** Ends it as a program ends; fails when it did not end well. */
  async end(): Promise<void> {
    const exited = once(this.#child, 'exit')
    this.#child.stdin.end()
    const [code] = await exited
    if (code !== 0) throw new Error(`the process ended with ${code}: ${this.#errors}`)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  async #ask(command: SubjectCommand): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
    const line = await this.#lines.next()
    if (line.done === true) throw new Error(`the process ended at ${command.kind}: ${this.#errors}`)
    return (JSON.parse(line.value) as { answer: unknown }).answer
  }
}

/** The master key of the process's own KMS, which is not written anywhere. */
export function ownMasterKey(seed: string): Buffer {
  return createHash('sha256').update(`own KMS ${seed}`).digest()
}

/** What unwraps that KMS's keys: nonce, ciphertext, tag. */
export function ownKmsOpens(seed: string): (sealed: Buffer) => Buffer {
  const master = ownMasterKey(seed)
  return (sealed) => {
    const opener = createDecipheriv('aes-256-gcm', master, sealed.subarray(0, 12))
    opener.setAuthTag(sealed.subarray(-16))
    return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()])
  }
}

/** The rows of a SQLite metastore. */
export function sqliteRows(path: string): OracleRow[] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return database
      .prepare(
        "SELECT id, CAST(strftime('%s', created) AS INTEGER) AS created, key_record AS keyRecord FROM encryption_key",
      )
      .all() as unknown as OracleRow[]
  } finally {
    database.close()
  }
}

/** Every key of the records in a file, each once: `system key`, `intermediate key`, `data row key`. */
export function keysOf(master: OracleMaster, rows: readonly OracleRow[], file: string): NamedKey[] {
  const keys = new Map<string, NamedKey>()
  for (const record of readFileSync(file, 'utf8').split('\n')) {
    const { systemKey, intermediateKey, dataRowKey } = explainRecord(master, rows, record)
    keys.set(systemKey.toString('hex'), { name: 'system key', bytes: systemKey })
    keys.set(intermediateKey.toString('hex'), { name: 'intermediate key', bytes: intermediateKey })
    keys.set(dataRowKey.toString('hex'), { name: 'data row key', bytes: dataRowKey })
  }
  return [...keys.values()]
}
