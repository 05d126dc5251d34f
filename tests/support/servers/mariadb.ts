import { chmodSync, chownSync, copyFileSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificateKind, Certificates } from './certificates.ts'
import { freePort } from './free-port.ts'
import { oddPassword } from './odd-password.ts'
import type { Account } from './postgres.ts'
import { createServerFolder, removeServerFolder } from './server-folder.ts'
import { ServerProcess } from './server-process.ts'
import { findProgram, runTool, runToolWithInput } from './tool.ts'

/** Where a MariaDB server is and who may enter. It is plain data, so that other processes can be told. */
export interface MariaDbAddress {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly socket: string
  /** Enters through the Unix socket and over TCP. */
  readonly superuser: Account
  /** May read and insert; owns nothing. */
  readonly limited: Account
  /** As `limited`, but refused without TLS. */
  readonly tlsOnly: Account
}

export interface MariaDbOptions {
  readonly certificates: Certificates
  /** The certificate that it shows; `server` by default. */
  readonly certificate?: CertificateKind
  /** `@@global.time_zone`; UTC by default. Names of {@link namedZones}, and offsets such as `+05:30`. */
  readonly timeZone?: string
  /** More options, as `--name=value`. */
  readonly settings?: readonly string[]
}

/** The time zones that a server knows by name. */
export const namedZones = [
  'UTC',
  'America/New_York',
  'Asia/Kolkata',
  'Europe/Berlin',
  'Australia/Lord_Howe',
] as const

const account = 'mysql'
const superuser: Account = { user: 'root', password: 'only on loopback' }
const limited: Account = { user: 'asherah_app', password: oddPassword }
const tlsOnly: Account = { user: 'asherah_tls', password: `tls ${oddPassword}` }

/**
 * Without fsync a commit is in the kernel's memory: safe against a killed server, which is what tests do. Making a data
 * folder takes 0.7 s instead of 4.3.
 */
const storage = ['--innodb-log-file-size=16M', '--innodb-buffer-pool-size=64M', '--debug-no-sync']

/** A MariaDB server on loopback and a Unix socket, with TLS, in a folder of its own. */
export class MariaDbServer {
  readonly address: MariaDbAddress
  readonly #folder: string
  readonly #options: MariaDbOptions
  #process: ServerProcess | undefined

  private constructor(folder: string, port: number, options: MariaDbOptions) {
    this.#folder = folder
    this.#options = options
    this.address = { host: '127.0.0.1', port, socket: join(folder, 'socket'), superuser, limited, tlsOnly }
  }

  /** Makes a data folder and starts a server on it (measured: 1.5 s). */
  static async start(options: MariaDbOptions): Promise<MariaDbServer> {
    const folder = await createServerFolder('my', account)
    const server = new MariaDbServer(folder, await freePort(), options)
    makeTemporaryFolder(folder)
    try {
      await runTool(
        findProgram('mariadb-install-db'),
        [
          ...[
            '--no-defaults',
            `--datadir=${join(folder, 'data')}`,
            `--tmpdir=${join(folder, 'tmp')}`,
            '--auth-root-authentication-method=normal',
          ],
          ...['--skip-test-db', ...storage],
        ],
        { user: account },
      )
      installCertificates(folder, options)
      await server.#setUp()
      return server
    } catch (error) {
      await server.remove()
      throw error
    }
  }

  /** The first start makes accounts and time zones before it opens a port. */
  async #setUp(): Promise<void> {
    const zones = namedZones.map((zone) =>
      runTool(findProgram('mariadb-tzinfo-to-sql'), [join('/usr/share/zoneinfo', zone), zone]),
    )
    const accounts = [
      `DELETE FROM mysql.global_priv WHERE Host NOT IN ('localhost', '127.0.0.1', '%');`,
      'FLUSH PRIVILEGES;',
      ...['localhost', '127.0.0.1'].map(
        (host) =>
          `ALTER USER ${superuser.user}@'${host}' IDENTIFIED BY ${mariaDbLiteral(superuser.password)};`,
      ),
      `CREATE USER ${limited.user}@'%' IDENTIFIED BY ${mariaDbLiteral(limited.password)};`,
      `CREATE USER ${tlsOnly.user}@'%' IDENTIFIED BY ${mariaDbLiteral(tlsOnly.password)} REQUIRE SSL;`,
    ]
    const file = join(this.#folder, 'set-up.sql')
    writeFileSync(file, ['USE mysql;', ...(await Promise.all(zones)), ...accounts, ''].join('\n'), {
      mode: 0o644,
    })
    // The zone that is asked for may not be known before its table is filled.
    await this.#launch([`--init-file=${file}`, '--default-time-zone=+00:00'])
    const { timeZone = 'UTC' } = this.#options
    await this.setTimeZone(timeZone)
  }

  get running(): boolean {
    return this.#process?.running === true
  }

  /** Starts it again on the same port with the same data, ending it in order first when it runs. */
  async restart(): Promise<void> {
    await this.stop()
    const { timeZone = 'UTC' } = this.#options
    await this.#launch([`--default-time-zone=${timeZone}`])
  }

  /** Sets the time zone of the sessions that start from now on. */
  async setTimeZone(zone: string): Promise<void> {
    await queryMariaDb(this.address, `SET GLOBAL time_zone = ${mariaDbLiteral(zone)}`)
  }

  /** Shows another certificate to the connections that are opened from now on. */
  async showCertificate(certificate: CertificateKind): Promise<void> {
    installCertificates(this.#folder, { ...this.#options, certificate })
    await queryMariaDb(this.address, 'FLUSH SSL')
  }

  async #launch(settings: readonly string[]): Promise<void> {
    const { port, socket } = this.address
    this.#process = ServerProcess.spawn({
      name: 'MariaDB',
      command: findProgram('mariadbd'),
      args: [
        ...['--no-defaults', `--datadir=${join(this.#folder, 'data')}`, `--socket=${socket}`],
        `--tmpdir=${join(this.#folder, 'tmp')}`,
        ...[`--pid-file=${join(this.#folder, 'pid')}`, '--skip-log-bin', '--skip-name-resolve', ...storage],
        ...[`--ssl-ca=${this.#folder}/authority.pem`, `--ssl-cert=${this.#folder}/server.pem`],
        ...[`--ssl-key=${this.#folder}/server-key.pem`, '--max-connections=400'],
        ...['--bind-address=127.0.0.1', `--port=${port}`],
        ...settings,
        ...(this.#options.settings ?? []),
      ],
      user: account,
    })
    await this.#process.waitUntilReady(async () => queryMariaDb(this.address, 'SELECT 1'))
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    await this.#process?.end('SIGTERM')
  }

  /** Ends it with SIGKILL: clients see broken connections, and the next start recovers from the log. */
  async kill(): Promise<void> {
    await this.#process?.end('SIGKILL')
  }

  /** Ends it at once and removes its folder. */
  async remove(): Promise<void> {
    await this.kill()
    removeServerFolder(this.#folder)
  }
}

/** Runs SQL as the superuser, through the Unix socket, and returns the rows, their columns separated by tabs. */
export async function queryMariaDb(
  address: MariaDbAddress,
  sql: string,
  database = 'mysql',
): Promise<string> {
  const { user, password } = address.superuser
  const where = ['--no-defaults', `--socket=${address.socket}`, `--user=${user}`, `--password=${password}`]
  const format = ['--batch', '--raw', '--skip-column-names', '--default-character-set=utf8mb4']
  const output = await runToolWithInput(findProgram('mariadb'), [...where, ...format, database], sql)
  return output.trimEnd()
}

/** An SQL string literal. */
export function mariaDbLiteral(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}

/** A server that starts removes all `#sql…` files of its temporary folder, those of another server too. */
function makeTemporaryFolder(folder: string): void {
  const owner = statSync(folder)
  const temporary = join(folder, 'tmp')
  mkdirSync(temporary, { mode: 0o700 })
  if (process.getuid?.() === 0) chownSync(temporary, owner.uid, owner.gid)
}

function installCertificates(folder: string, { certificates, certificate = 'server' }: MariaDbOptions): void {
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
