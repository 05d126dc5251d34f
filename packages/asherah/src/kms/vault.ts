import { AsherahError } from '../errors.ts'
import { secretBytes } from '../secret-bytes.ts'
import { emptyString, findString, unescapeInPlace } from './json-bytes.ts'
import type { KeyManagementService } from './key-management-service.ts'
import { kmsReport } from './kms-report.ts'
import { base64Length, readBase64, writeBase64 } from './secret-text.ts'
import { type VaultSecret, vaultRefusal } from './vault-error.ts'
import { type VaultAnswer, VaultHttp } from './vault-http.ts'
import { type VaultAuthOptions, vaultPath } from './vault-login.ts'
import { VaultToken } from './vault-token.ts'

/** Which transit key of which Vault, and how it is signed in to. */
export interface VaultOptions {
  /** URL of Vault, as in `VAULT_ADDR`. */
  readonly addr: string
  readonly transitKey: string
  /** `transit` unless said. */
  readonly transitMount?: string
  /** Of Vault Enterprise or HCP, as in `VAULT_NAMESPACE`. */
  readonly namespace?: string
  readonly auth: VaultAuthOptions
  /** PEM file of the authorities that may certify Vault, in place of those of the system. */
  readonly caPath?: string
  /** The name that Vault's certificate must be for, where it is not the one in `addr`. */
  readonly serverName?: string
  /**
   * PEM files of the certificate that this client shows and of its key: for any login, required for `cert`. Both are read
   * again at each login, and where a call fails and they have changed.
   */
  readonly clientCertPath?: string
  readonly clientKeyPath?: string
  /** Milliseconds for a connection; 5,000 unless said. */
  readonly connectTimeoutMs?: number
  /** Milliseconds for one call, with the attempts that it takes; 10,000 unless said. */
  readonly queryTimeoutMs?: number
}

const keyBytes = 32
const prefix = Buffer.from('vault:v')
const before = Buffer.from('{"plaintext":"')
const behind = Buffer.from('"}')

/**
 * System keys under a key of Vault's transit engine, which are stored as Vault writes them: `vault:v1:…`. Vault itself
 * keeps track of the versions of its key.
 *
 * A system key passes through this process's JavaScript for one call, as bytes outside V8's heap, never as a string, and
 * is overwritten when the call is over.
 *
 * @throws AsherahError `ERR_KMS` with what Vault says, `ERR_TIMEOUT`, `ERR_CLOSED`, and `ERR_CONFIG_INVALID` for options
 * that do not fit.
 *
 * @example
 * ```ts
 * const kms = new VaultKms({
 *   addr: 'https://vault.example.com:8200',
 *   transitKey: 'asherah',
 *   auth: { method: 'kubernetes', role: 'orders' },
 * })
 * ```
 */
export class VaultKms implements KeyManagementService {
  readonly #http: VaultHttp
  readonly #token: VaultToken
  readonly #encryptPath: string
  readonly #decryptPath: string

  constructor(options: VaultOptions) {
    check(options)
    const { auth, transitKey, transitMount = 'transit', ...rest } = options
    const { connectTimeoutMs = 5000, queryTimeoutMs = 10_000, ...place } = rest
    this.#http = new VaultHttp({ ...place, connectTimeoutMs, queryTimeoutMs })
    this.#token = new VaultToken(this.#http, auth)
    this.#encryptPath = `${vaultPath(transitMount)}/encrypt/${encodeURIComponent(transitKey)}`
    this.#decryptPath = `${vaultPath(transitMount)}/decrypt/${encodeURIComponent(transitKey)}`
  }

  async encryptKey(key: Uint8Array): Promise<Uint8Array> {
    const encoded = base64Length(key.length)
    const body = secretBytes(before.length + encoded + behind.length)
    try {
      body.set(before)
      writeBase64(key, body, before.length)
      body.set(behind, before.length + encoded)
      const plaintext = body.subarray(before.length, before.length + encoded)
      const answer = await this.#post(this.#encryptPath, body, [plaintext])
      const ciphertext = take(answer, ['data', 'ciphertext'])
      if (ciphertext === undefined || !isCiphertext(ciphertext)) throw unexpected(this.#encryptPath)
      return ciphertext
    } finally {
      body.fill(0)
    }
  }

  async decryptKey(encryptedKey: Uint8Array): Promise<Uint8Array> {
    if (!isCiphertext(encryptedKey)) {
      throw new AsherahError(
        'ERR_KMS',
        'A system key was not sealed by Vault: it does not begin with vault:v. Configure the KMS that this metastore was ' +
          'written with, or restore the row from a backup.',
      )
    }
    const body = Buffer.from(JSON.stringify({ ciphertext: Buffer.from(encryptedKey).toString('latin1') }))
    const answer = await this.#post(this.#decryptPath, body, [])
    const encoded = take(answer, ['data', 'plaintext'])
    const key = encoded === undefined ? undefined : readBase64(encoded)
    encoded?.fill(0)
    if (key?.length === keyBytes) return key
    key?.fill(0)
    throw unexpected(this.#decryptPath)
  }

  /** Ends the connections and the renewal of the token, which is left to expire. */
  close(): void {
    this.#token.close()
    this.#http.close()
  }

  /** A refused token is replaced once. */
  async #post(path: string, body: Uint8Array, secrets: readonly VaultSecret[]): Promise<VaultAnswer> {
    const token = await this.#token.get()
    const answer = await this.#http.call({ method: 'POST', path, token, body, repeatable: true })
    if (answer.status === 200) return answer
    const other = answer.status === 403 ? await this.#token.replace(token) : undefined
    if (other === undefined) throw vaultRefusal(path, answer, [token, ...secrets])
    answer.body.fill(0)
    const second = await this.#http.call({ method: 'POST', path, token: other, body, repeatable: true })
    if (second.status !== 200) throw vaultRefusal(path, second, [other, ...secrets])
    return second
  }
}

/** A copy of a string of the answer, all of which is overwritten. */
function take({ body }: VaultAnswer, path: readonly string[]): Uint8Array | undefined {
  try {
    const span = findString(body, path)
    const content = span === undefined ? undefined : unescapeInPlace(body, span)
    if (span === undefined || content === undefined) return undefined
    const copy = secretBytes(content.length)
    copy.set(content)
    emptyString(body, span)
    return copy
  } finally {
    body.fill(0)
  }
}

/** Printable ASCII behind `vault:v`. */
function isCiphertext(bytes: Uint8Array): boolean {
  return (
    prefix.every((byte, index) => bytes[index] === byte) && bytes.every((byte) => byte > 0x20 && byte < 0x7f)
  )
}

function unexpected(path: string): AsherahError {
  return new AsherahError(
    'ERR_KMS',
    `Vault answered ${path} in another form than its API describes. Check vaultAddr.`,
  )
}

function check({
  addr,
  transitKey,
  transitMount = 'transit',
  auth,
  clientCertPath,
  clientKeyPath,
}: VaultOptions): void {
  const url = URL.canParse(addr) ? new URL(addr) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) {
    throw invalid('addr must be an https:// (or http://) URL')
  }
  if (url.username !== '' || url.password !== '') throw invalid('addr must not hold a user or a password')
  if (transitKey === '') throw invalid('transitKey is empty')
  if (vaultPath(transitMount) === '') throw invalid('transitMount is empty')
  // What would be no header is told here, without showing it.
  if (auth.method === 'token' && !/^[\x21-\x7e]+$/.test(auth.token)) {
    throw invalid('the token is empty, or has white space or characters that no token has')
  }
  if ((clientCertPath === undefined) !== (clientKeyPath === undefined)) {
    throw invalid('clientCertPath and clientKeyPath belong together')
  }
  if (auth.method === 'cert' && clientCertPath === undefined) {
    throw invalid('the cert login needs clientCertPath and clientKeyPath')
  }
  if (auth.method === 'cert' && url.protocol !== 'https:')
    throw invalid('the cert login needs an https:// addr')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) kmsReport.vaultWithoutTls()
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host)
}

function invalid(problem: string): AsherahError {
  return new AsherahError('ERR_CONFIG_INVALID', `The configuration of Vault is not valid: ${problem}.`)
}
