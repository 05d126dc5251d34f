import { AsherahError } from '../errors.ts'
import { kmsReport } from './kms-report.ts'
import type { VaultHttp } from './vault-http.ts'
import {
  lookUpVaultToken,
  renewVaultToken,
  type VaultAuthOptions,
  type VaultLease,
  vaultLogin,
} from './vault-login.ts'

interface Held {
  readonly token: string
  /** Monotonic milliseconds; infinite for a token that does not expire, or that nothing could replace. */
  readonly expiresAtMs: number
  /** What a login gave, in milliseconds: a renewal that gives much less is near the end of what can be renewed. */
  readonly fullMs: number
  readonly renewable: boolean
}

/** A timer of Node cannot wait longer. */
const longestWaitMs = 2 ** 31 - 1
/** A lease this near to its end is left to the next call. */
const shortestWaitMs = 500

/**
 * The token that calls carry: renewed when half of its time is over, replaced by a new login when it cannot be renewed,
 * has expired or was refused. Concurrent needs share one login.
 */
export class VaultToken {
  readonly #http: VaultHttp
  readonly #auth: VaultAuthOptions
  #held: Held | undefined
  #login: Promise<Held> | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(http: VaultHttp, auth: VaultAuthOptions) {
    this.#http = http
    this.#auth = auth
  }

  async get(): Promise<string> {
    const held = this.#held
    // The time of the system may have gone on while this process was suspended and its timers slept.
    if (held !== undefined && performance.now() < held.expiresAtMs) return held.token
    return (await this.#signIn()).token
  }

  /** Another token in place of one that was refused; undefined when there is none to be had. */
  async replace(refused: string): Promise<string | undefined> {
    if (this.#auth.method === 'token') return undefined
    const held = this.#held
    if (held !== undefined && held.token !== refused) return held.token
    return (await this.#signIn()).token
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #signIn(): Promise<Held> {
    this.#login ??= this.#signInNow().finally(() => {
      this.#login = undefined
    })
    return this.#login
  }

  async #signInNow(): Promise<Held> {
    const auth = this.#auth
    if (auth.method === 'token') {
      const held = { token: auth.token, expiresAtMs: Number.POSITIVE_INFINITY, fullMs: 0, renewable: false }
      this.#held = held
      void this.#learn(auth.token)
      return held
    }
    return this.#hold(await vaultLogin(this.#http, auth))
  }

  /** How long a ready token lasts is not known before Vault has been asked; nobody waits for it. */
  async #learn(token: string): Promise<void> {
    try {
      const lease = await lookUpVaultToken(this.#http, token)
      if (lease?.renewable === true && lease.seconds > 0) this.#hold(lease)
    } catch {
      // The calls that carry the token report what is wrong with it, or with Vault.
    }
  }

  #hold({ token, seconds, renewable }: VaultLease, fullMs = seconds * 1000): Held {
    const replaceable = this.#auth.method !== 'token'
    const expiresAtMs =
      replaceable && seconds > 0 ? performance.now() + seconds * 1000 : Number.POSITIVE_INFINITY
    const held = { token, expiresAtMs, fullMs, renewable }
    this.#held = held
    if (seconds > 0 && (renewable || replaceable))
      this.#wait((seconds * 1000) / 2, performance.now() + seconds * 1000)
    return held
  }

  /** `endMs`: when the lease ends. */
  #wait(ms: number, endMs: number): void {
    clearTimeout(this.#timer)
    if (this.#closed || ms < shortestWaitMs) return
    // It must not keep a process alive that has nothing else to do.
    this.#timer = setTimeout(() => void this.#prolong(endMs), Math.min(ms, longestWaitMs)).unref()
  }

  async #prolong(endMs: number): Promise<void> {
    const held = this.#held
    if (held === undefined || this.#closed) return
    try {
      const renewed = held.renewable ? await renewVaultToken(this.#http, held.token) : undefined
      // A lease that shrinks has reached the end of what can be renewed.
      const lasting = renewed !== undefined && renewed.seconds * 1000 >= held.fullMs / 2
      if (this.#held !== held) return
      if (renewed !== undefined && (lasting || this.#auth.method === 'token'))
        this.#hold(renewed, held.fullMs)
      else if (this.#auth.method !== 'token') await this.#signIn()
      else
        throw new AsherahError(
          'ERR_KMS',
          'Vault does not renew the configured token any more. Configure a new one.',
        )
    } catch (error) {
      if (this.#closed) return
      kmsReport.tokenNotRenewed(error)
      this.#wait((endMs - performance.now()) / 2, endMs)
    }
  }
}
