import { chmodSync, chownSync, copyFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificateKind, Certificates } from './certificates.ts'
import { freePort } from './free-port.ts'
import { oddPassword } from './odd-password.ts'
import { createServerFolder, removeServerFolder } from './server-folder.ts'
import { ServerProcess } from './server-process.ts'
import { findProgram, lookForProgram, runTool } from './tool.ts'

/** Where a PostgreSQL server is and who may enter. It is plain data, so that other processes can be told. */
export interface PostgresAddress {
  readonly host: '127.0.0.1'
  readonly port: number
  /** The folder of its Unix socket. */
  readonly socketFolder: string
  /** Enters through the Unix socket without a password. */
  readonly superuser: Account
  /** May connect, read and insert; owns nothing. */
  readonly limited: Account
  /** As `limited`, but refused without TLS. */
  readonly tlsOnly: Account
}

export interface Account {
  readonly user: string
  readonly password: string
}

export interface PostgresOptions {
  readonly certificates: Certificates
  /** The certificate that it shows; `server` by default. */
  readonly certificate?: CertificateKind
  /** More settings, as `name=value`. */
  readonly settings?: readonly string[]
}

const account = 'postgres'
const superuser: Account = { user: 'postgres', password: `super ${oddPassword}` }
const limited: Account = { user: 'asherah_app', password: oddPassword }
const tlsOnly: Account = { user: 'asherah_tls', password: `tls ${oddPassword}` }

/** Debian keeps the server's programs out of PATH. */
const programFolders = [18, 17, 16, 15].flatMap((version) => [
  `/usr/lib/postgresql/${version}/bin`,
  `/opt/homebrew/opt/postgresql@${version}/bin`,
])

function program(name: string): string {
  return findProgram(name, programFolders)
}

/** Whether {@link PostgresServer.start} can find the server. */
export function postgresIsInstalled(): boolean {
  return lookForProgram('initdb', programFolders) !== undefined
}

/** A PostgreSQL server on loopback, with TLS, in a folder of its own. */
export class PostgresServer {
  readonly address: PostgresAddress
  readonly #folder: string
  readonly #options: PostgresOptions
  #process: ServerProcess | undefined

  private constructor(folder: string, port: number, options: PostgresOptions) {
    this.#folder = folder
    this.#options = options
    this.address = { host: '127.0.0.1', port, socketFolder: folder, superuser, limited, tlsOnly }
  }

  /** Makes a cluster and starts it (measured: 1.5 s). */
  static async start(options: PostgresOptions): Promise<PostgresServer> {
    const folder = await createServerFolder('pg', account)
    const server = new PostgresServer(folder, await freePort(), options)
    try {
      const passwords = join(folder, 'password')
      writeFileSync(passwords, superuser.password)
      await runTool(
        program('initdb'),
        [
          ...[
            '-D',
            join(folder, 'data'),
            '-U',
            superuser.user,
            '--pwfile',
            passwords,
            '--auth=scram-sha-256',
          ],
          ...['-E', 'UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions'],
        ],
        { user: account },
      )
      installCertificates(folder, options)
      writeAccess(folder)
      await server.restart()
      for (const { user, password } of [limited, tlsOnly]) {
        await queryPostgres(server.address, `CREATE ROLE ${user} LOGIN PASSWORD ${literal(password)}`)
      }
      return server
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  /** Copies a running server and starts the copy, which follows it. */
  static async startReplica(of: PostgresAddress, options: PostgresOptions): Promise<PostgresServer> {
    const folder = await createServerFolder('pgr', account)
    const server = new PostgresServer(folder, await freePort(), options)
    try {
      const source = ['-h', of.socketFolder, '-p', String(of.port), '-U', of.superuser.user, '--no-password']
      await runTool(
        program('pg_basebackup'),
        [...source, '-D', join(folder, 'data'), '-R', '-X', 'stream', '-c', 'fast', '--no-sync'],
        { user: account },
      )
      installCertificates(folder, options)
      writeAccess(folder)
      await server.restart()
      return server
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Starts it again on the same port with the same data, ending it in order first when it runs. */
  async restart(): Promise<void> {
    await this.stop()
    const { port } = this.address
    const settings = [
      ...['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${this.#folder}`],
      ...[
        'ssl=on',
        `ssl_cert_file=${this.#folder}/server.pem`,
        `ssl_key_file=${this.#folder}/server-key.pem`,
      ],
      ...[`ssl_ca_file=${this.#folder}/authority.pem`, `hba_file=${this.#folder}/access.conf`],
      // Without fsync a commit is in the kernel's memory: safe against a killed server, which is what tests do.
      ...[
        'fsync=off',
        'full_page_writes=off',
        'wal_level=replica',
        'max_wal_senders=4',
        'max_connections=300',
      ],
      ...[
        'shared_buffers=64MB',
        'timezone=UTC',
        'log_timezone=UTC',
        'hot_standby=on',
        ...(this.#options.settings ?? []),
      ],
    ].flatMap((setting) => ['-c', setting])
    this.#process = ServerProcess.spawn({
      name: 'PostgreSQL',
      command: program('postgres'),
      args: ['-D', join(this.#folder, 'data'), ...settings],
      user: account,
    })
    await this.#process.waitUntilReady(
      async () => (await queryPostgres(this.address, 'SELECT 1')) === '1' || undefined,
    )
  }

  /** Starts it again with another certificate to show. */
  async showCertificate(certificate: CertificateKind): Promise<void> {
    installCertificates(this.#folder, { ...this.#options, certificate })
    await this.restart()
  }

  /** Makes a replica a server of its own, which takes writes. */
  async promote(): Promise<void> {
    await queryPostgres(this.address, 'SELECT pg_promote()')
  }

  /** Ends it in order: sessions are closed, everything is written. */
  async stop(): Promise<void> {
    await this.#process?.end('SIGINT')
  }

  /** Ends it with SIGKILL: clients see broken connections, and the next start recovers from the log. */
  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL')
  }

  /** Ends it at once and removes its folder. */
  async remove(): Promise<void> {
    await this.#process?.end('SIGQUIT')
    removeServerFolder(this.#folder)
  }
}

/** Runs SQL as the superuser, through the Unix socket, and returns the rows as psql's unaligned text. */
export async function queryPostgres(
  address: PostgresAddress,
  sql: string,
  database = 'postgres',
): Promise<string> {
  const where = ['-h', address.socketFolder, '-p', String(address.port), '-U', address.superuser.user]
  const output = await runTool(
    program('psql'),
    ['-X', '-q', '-A', '-t', '-w', '-v', 'ON_ERROR_STOP=1', ...where, '-d', database, '-c', sql],
    { env: { ...process.env, PGCONNECT_TIMEOUT: '5', PGOPTIONS: '', PGSSLMODE: 'disable' } },
  )
  return output.trimEnd()
}

/** Stops a replica's replay: it answers with what it knew until {@link resumeReplay}. */
export async function pauseReplay(replica: PostgresAddress): Promise<void> {
  await queryPostgres(replica, 'SELECT pg_wal_replay_pause()')
  await until(
    async () => (await queryPostgres(replica, 'SELECT pg_get_wal_replay_pause_state()')) === 'paused',
  )
}

export async function resumeReplay(replica: PostgresAddress): Promise<void> {
  await queryPostgres(replica, 'SELECT pg_wal_replay_resume()')
}

/** Waits until a replica has replayed everything that its primary has committed by now. */
export async function waitForReplay(primary: PostgresAddress, replica: PostgresAddress): Promise<void> {
  const position = await queryPostgres(primary, 'SELECT pg_current_wal_lsn()')
  const sql = `SELECT pg_last_wal_replay_lsn() >= '${position}'::pg_lsn`
  await until(async () => (await queryPostgres(replica, sql)) === 't')
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error('the replica did not get there in 30 s')
  }
}

/** An SQL string literal. */
export function literal(text: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** The server refuses a key that others can read or that is not its own. */
function installCertificates(
  folder: string,
  { certificates, certificate = 'server' }: PostgresOptions,
): void {
  const owner = statSync(folder)
  const pair = certificates[certificate]
  const copies = {
    'server.pem': pair.certificate,
    'server-key.pem': pair.key,
    'authority.pem': certificates.authority,
  }
  for (const [name, source] of Object.entries(copies)) {
    const file = join(folder, name)
    copyFileSync(source, file)
    chmodSync(file, 0o600)
    if (process.getuid?.() === 0) chownSync(file, owner.uid, owner.gid)
  }
}

function writeAccess(folder: string): void {
  const lines = [
    `local all ${superuser.user} trust`,
    `local replication ${superuser.user} trust`,
    'local all all scram-sha-256',
    `hostnossl all ${tlsOnly.user} all reject`,
    'host all all 127.0.0.1/32 scram-sha-256',
  ]
  writeFileSync(join(folder, 'access.conf'), `${lines.join('\n')}\n`, { mode: 0o644 })
}
