import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { ServerError, systemCode } from './errors.ts'
import type { TakeConnection, TlsIdentity } from './grpc/grpc-server.ts'
import type { Log } from './server-log.ts'
import type { TlsFiles } from './settings/serve-settings.ts'

/** How often the files are looked at. Watching them instead would miss the links that Kubernetes changes above them. */
const lookMs = 1000

const flags = 'check --tls-cert, --tls-key and --tls-client-ca'

/**
 * TLS with certificates from files, which are read again when they change: new connections get what is new, present ones go
 * on. What cannot be used is told, and the certificates before it stay in use.
 */
export class RenewedTls {
  readonly #files: TlsFiles
  readonly #serve: (identity: TlsIdentity) => TakeConnection
  readonly #log: Log
  #take: TakeConnection
  /** Digest of what is in use. */
  #used: string
  /** What could not be used when it was last looked at, and whether that was told. */
  #refused: { readonly what: string; readonly told: boolean } | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  /**
   * @param serve answers with what serves connections under an identity.
   * @throws ServerError `ERR_LISTEN` when the files cannot be used.
   */
  constructor(files: TlsFiles, serve: (identity: TlsIdentity) => TakeConnection, log: Log) {
    this.#files = files
    this.#serve = serve
    this.#log = log
    const [certificate, key, clientAuthority] = namesOf(files).map((path) => {
      try {
        return readFileSync(path, 'utf8')
      } catch (error) {
        throw unreadable(path, error)
      }
    })
    const identity = identityOf(certificate, key, clientAuthority)
    this.#used = digestOf(identity)
    this.#take = this.#served(identity)
    this.#wait()
  }

  take(socket: Socket): void {
    this.#take(socket)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #wait(): void {
    if (this.#closed) return
    this.#timer = setTimeout(() => void this.#look().finally(() => this.#wait()), lookMs)
    this.#timer.unref()
  }

  async #look(): Promise<void> {
    let found = 'files that cannot be read'
    try {
      const identity = await readIdentity(this.#files)
      found = digestOf(identity)
      if (found === this.#used) this.#refused = undefined
      if (found === this.#used || this.#closed) return
      this.#take = this.#served(identity)
      this.#used = found
      this.#refused = undefined
      const { validTo } = new X509Certificate(identity.certificate)
      this.#log.info(`the certificates were read again: ${this.#files.certificate} is valid until ${validTo}`)
    } catch (error) {
      if (!(error instanceof ServerError)) throw error
      // Files are replaced one after another: only what is still wrong at the next look is worth a word.
      const again = this.#refused?.what === found
      if (again && this.#refused?.told === false) {
        this.#log.warn(`new certificates are not used, and those before go on: ${error.message}`)
      }
      this.#refused = { what: found, told: again }
    }
  }

  #served(identity: TlsIdentity): TakeConnection {
    try {
      checkIdentity(identity, this.#files)
      return this.#serve(identity)
    } catch (error) {
      if (error instanceof ServerError) throw error
      throw new ServerError(
        'ERR_LISTEN',
        `the certificates cannot be used (${systemCode(error)}); ${flags}`,
        {
          cause: error,
        },
      )
    }
  }
}

function namesOf({ certificate, key, clientAuthority }: TlsFiles): readonly string[] {
  return [certificate, key, clientAuthority]
}

async function readIdentity(files: TlsFiles): Promise<TlsIdentity> {
  const read = namesOf(files).map(async (path) => {
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      throw unreadable(path, error)
    }
  })
  const [certificate, key, clientAuthority] = await Promise.all(read)
  return identityOf(certificate, key, clientAuthority)
}

function identityOf(certificate = '', key = '', clientAuthority = ''): TlsIdentity {
  return { certificate, key, clientAuthority }
}

function digestOf({ certificate, key, clientAuthority }: TlsIdentity): string {
  const digest = createHash('sha256')
  for (const text of [certificate, key, clientAuthority]) digest.update(`${text.length}\n${text}`)
  return digest.digest('base64')
}

/** Node takes a key of another certificate only to fail each handshake, and no authority at all to mean the system's. */
function checkIdentity({ certificate, key, clientAuthority }: TlsIdentity, files: TlsFiles): void {
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
    throw new ServerError('ERR_LISTEN', `${files.key} is not the key of ${files.certificate}; ${flags}`)
  }
  const authorities = clientAuthority.match(/-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----/gs) ?? []
  if (authorities.length === 0) {
    throw new ServerError('ERR_LISTEN', `${files.clientAuthority} holds no certificate; ${flags}`)
  }
  for (const authority of authorities) new X509Certificate(authority)
}

function unreadable(path: string, error: unknown): ServerError {
  return new ServerError('ERR_LISTEN', `${path} cannot be read (${systemCode(error)}); ${flags}`)
}
