import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { javaClasses, mavenPackages, pythonPackages } from './packages.ts'
import { launcher } from './server-process.ts'
import { findProgram } from './tool.ts'

/** Another implementation of Asherah: the canonical Java library, or the Rust one through its Python package. */
export type PeerKind = 'java' | 'rust'

export interface PeerConfig {
  readonly service: string
  readonly product: string
  readonly metastore: PeerMetastore
  readonly kms: PeerKms
  /** Seconds; 90 days by default. */
  readonly expireAfter?: number
  /** Seconds; 60 minutes by default. */
  readonly checkInterval?: number
  /**
   * Lets the Rust peer start although its settings differ from those in its guard row (contract section 3.9): another
   * preferred region is enough. The row stays as it is.
   */
  readonly ignoreDrift?: boolean
}

export type PeerMetastore =
  | { readonly kind: 'memory' }
  | {
      readonly kind: 'postgres' | 'mysql'
      readonly host: string
      readonly port: number
      readonly database: string
      readonly user: string
      readonly password: string
    }
  | {
      readonly kind: 'dynamodb'
      readonly endpoint: string
      readonly region: string
      readonly table: string
      readonly regionSuffix: boolean
    }

export type PeerKms =
  | {
      readonly kind: 'static'
      /** 32 ASCII characters: the Java library takes the master key as text. */
      readonly key: string
    }
  | {
      readonly kind: 'aws'
      readonly regionMap: Readonly<Record<string, string>>
      readonly preferredRegion: string
    }

export interface PeerOptions {
  /** Where the peer finds KMS: moto. Its account is `test`. */
  readonly awsEndpoint?: string
}

/** The public test key of every implementation. */
export const testMasterKey = 'thisIsAStaticMasterKeyForTesting'

const folder = join(import.meta.dirname, '..', '..', 'interop')
const javaSources = ['Peer.java', 'SecondsPolicy.java', 'UrlDataSource.java'].map((file) =>
  join(folder, 'java', file),
)

interface Answer {
  readonly id: number
  readonly error?: string
  readonly record?: string
  readonly data?: string
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/** What a peer answered instead of a result: its own words. */
export class PeerRefusal extends Error {
  override readonly name = 'PeerRefusal'
}

/**
 * Another implementation in a process of its own. Commands are JSON lines on its standard input, `{"id":1,"op":…,
 * "factory":…}` with `configure` and its `config`, `encrypt` with `partition` and `data`, `decrypt` with `partition` and
 * `record`, or `close`; bytes are base64. It answers each in order with the same `id`, and the result or an `error`.
 */
export class Peer {
  readonly kind: PeerKind
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting = new Map<number, Waiting>()
  #last = 0
  #factories = 0
  #errors = ''

  private constructor(kind: PeerKind, child: ChildProcessWithoutNullStreams) {
    this.kind = kind
    this.#child = child
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString('utf8')).slice(-8192)
    })
    // A peer that has gone fails its waiting calls below.
    child.stdin.on('error', () => undefined)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      waiting?.resolve(answer)
    })
    const gone = (reason: unknown): void => {
      const error = new Error(`the ${kind} peer ended: ${String(reason)}\n${this.#errors}`)
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    }
    child.on('error', gone)
    child.on('exit', (code, signal) => gone(signal ?? code))
  }

  /** Starts it (measured: 0.5 s for Java, 0.1 s for Rust). */
  static async start(kind: PeerKind, options: PeerOptions = {}): Promise<Peer> {
    const [command, ...args] = await (kind === 'java' ? javaCommand() : rustCommand())
    const [program = command, ...prefix] = launcher(undefined)
    const child = spawn(program, program === command ? args : [...prefix, command, ...args], {
      cwd: '/',
      env: {
        ...process.env,
        TZ: 'UTC',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        AWS_REGION: 'us-west-2',
        // Neither looks for an instance's own credentials, which takes seconds where there are none.
        AWS_EC2_METADATA_DISABLED: 'true',
        ...(options.awsEndpoint !== undefined && { AWS_ENDPOINT_URL: options.awsEndpoint }),
      },
    })
    const peer = new Peer(kind, child)
    await new Promise<Answer>((resolve, reject) => peer.#waiting.set(0, { resolve, reject }))
    return peer
  }

  /** Makes a session factory in the peer. */
  async configure(config: PeerConfig): Promise<PeerFactory> {
    this.#factories += 1
    const factory = String(this.#factories)
    const policy = { expireAfter: 90 * 86_400, checkInterval: 3600 }
    await this.#call({ op: 'configure', factory, config: { ...policy, ...config } })
    return {
      encrypt: async (partition, data) => {
        const bytes = Buffer.from(data).toString('base64')
        const { record } = await this.#call({ op: 'encrypt', factory, partition, data: bytes })
        if (record === undefined) throw new Error('the peer answered without a record')
        return record
      },
      decrypt: async (partition, record) => {
        const { data } = await this.#call({ op: 'decrypt', factory, partition, record })
        if (data === undefined) throw new Error('the peer answered without data')
        return Buffer.from(data, 'base64')
      },
      close: async () => {
        await this.#call({ op: 'close', factory })
      },
    }
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await exit
    clearTimeout(timer)
  }

  async #call(command: object): Promise<Answer> {
    if (this.#child.exitCode !== null) throw new Error(`the ${this.kind} peer has ended\n${this.#errors}`)
    this.#last += 1
    const id = this.#last
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(`${JSON.stringify({ id, ...command })}\n`)
    })
    if (answer.error !== undefined) throw new PeerRefusal(`${this.kind}: ${answer.error}`)
    return answer
  }
}

export interface PeerFactory {
  /** Returns the DataRowRecord's JSON. */
  encrypt(partition: string, data: Uint8Array): Promise<string>
  decrypt(partition: string, record: string): Promise<Buffer>
  close(): Promise<void>
}

/** Downloads and compiles what the peers need, so that the first {@link Peer.start} does not wait for it. */
export async function preparePeers(): Promise<void> {
  await Promise.all([javaCommand(), rustCommand()])
}

async function javaCommand(): Promise<[string, ...string[]]> {
  const jars = await mavenPackages(join(folder, 'java', 'pom.xml'))
  const classes = await javaClasses(javaSources, jars)
  const machine = ['-Duser.timezone=UTC', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xmx512m']
  return [findProgram('java'), ...machine, '-cp', `${classes}:${join(jars, '*')}`, 'Peer']
}

async function rustCommand(): Promise<[string, ...string[]]> {
  const python = await pythonPackages(join(folder, 'python', 'requirements.txt'))
  return [python, '-u', join(folder, 'python', 'peer.py')]
}
