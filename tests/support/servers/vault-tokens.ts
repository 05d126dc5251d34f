import { randomBytes, randomUUID } from 'node:crypto'
import { invalidToken, VaultRefusal } from './vault-refusal.ts'

export interface TokenGrant {
  /** Seconds; 0: it never expires. One hour by default. */
  readonly ttl?: number
  /** Seconds after which no renewal helps; 32 days, Vault's own default, by default. */
  readonly maxTtl?: number
  readonly renewable?: boolean
  /** What the token may use, as the beginnings of paths; every path by default. */
  readonly paths?: readonly string[]
  readonly policies?: readonly string[]
  /** How many requests it is good for; 0, any number, by default. */
  readonly uses?: number
}

export interface Token {
  readonly id: string
  readonly accessor: string
  readonly namespace: string
  readonly path: string
  readonly policies: readonly string[]
  readonly paths: readonly string[]
  readonly metadata: Readonly<Record<string, string>> | null
  readonly renewable: boolean
  /** Seconds. */
  readonly ttl: number
  readonly maxTtl: number
  /** Milliseconds since 1970. */
  readonly issued: number
  /** Milliseconds since 1970; undefined: never. */
  expires: number | undefined
  usesLeft: number | undefined
}

export interface TokenOrigin {
  readonly namespace: string
  /** The path that issued it, as `auth/approle/login`. */
  readonly path: string
  readonly metadata?: Readonly<Record<string, string>>
}

const day = 86_400

/** The token store of a server. Time comes from its clock. */
export class VaultTokens {
  readonly #tokens = new Map<string, Token>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  issue(grant: TokenGrant, origin: TokenOrigin): Token {
    const { ttl = 3600, maxTtl = 32 * day, renewable = ttl > 0, paths = [''], uses = 0 } = grant
    const now = this.#now()
    const effective = Math.min(ttl, maxTtl)
    const token: Token = {
      id: `hvs.${randomBytes(18).toString('base64url')}`,
      accessor: randomUUID(),
      namespace: origin.namespace,
      path: origin.path,
      policies: ['default', ...(grant.policies ?? [])],
      paths,
      metadata: origin.metadata ?? null,
      renewable,
      ttl: effective,
      maxTtl,
      issued: now,
      expires: ttl === 0 ? undefined : now + effective * 1000,
      usesLeft: uses === 0 ? undefined : uses,
    }
    this.#tokens.set(token.id, token)
    return token
  }

  /** The valid token of this id, one use of which is spent. */
  use(id: string): Token {
    const token = this.#tokens.get(id)
    if (token === undefined) throw invalidToken()
    if (token.expires !== undefined && this.#now() >= token.expires) {
      this.#tokens.delete(id)
      throw invalidToken()
    }
    if (token.usesLeft !== undefined) {
      token.usesLeft -= 1
      if (token.usesLeft === 0) this.#tokens.delete(id)
    }
    return token
  }

  revoke(id: string): void {
    this.#tokens.delete(id)
  }

  /** Revokes every token that `path` issued, or every token. */
  revokeAll(path?: string): void {
    for (const token of this.#tokens.values()) {
      if (path === undefined ? token.path !== 'auth/token/root' : token.path === path)
        this.#tokens.delete(token.id)
    }
  }

  /** How many tokens are valid now, root tokens included. */
  get valid(): number {
    const now = this.#now()
    return [...this.#tokens.values()].filter(({ expires }) => expires === undefined || now < expires).length
  }

  /**
   * developer.hashicorp.com/vault/api-docs/auth/token#renew-a-token-self
   *
   * `{"increment":"1h"}` is answered with
   * `{"auth":{"client_token":"ABCD","policies":["web","stage"],"metadata":{"user":"armon"},"lease_duration":3600,"renewable":true}}`.
   * A renewal that would pass the maximum is capped, with a warning.
   */
  renew(
    token: Token,
    increment: unknown,
  ): { readonly auth: object; readonly warnings: readonly string[] | null } {
    if (!token.renewable || token.expires === undefined)
      throw new VaultRefusal(400, ['lease is not renewable'])
    const now = this.#now()
    const wanted = seconds(increment) || token.ttl
    const left = Math.max(0, Math.floor((token.issued + token.maxTtl * 1000 - now) / 1000))
    const granted = Math.min(wanted, left)
    token.expires = now + granted * 1000
    const capped = granted < wanted
    const warning = `TTL of "${wanted}s" exceeded the effective max_ttl of "${left}s"; TTL value is capped accordingly`
    return { auth: describeToken(token, granted), warnings: capped ? [warning] : null }
  }

  /**
   * developer.hashicorp.com/vault/api-docs/auth/token#lookup-a-token-self
   *
   * The answer's `data` has `accessor`, `creation_time`, `creation_ttl`, `display_name`, `entity_id`, `expire_time`,
   * `explicit_max_ttl`, `id`, `issue_time`, `meta`, `num_uses`, `orphan`, `path`, `policies`, `renewable` and `ttl`.
   */
  lookUp(token: Token): object {
    return {
      accessor: token.accessor,
      creation_time: Math.floor(token.issued / 1000),
      creation_ttl: token.ttl,
      display_name: token.path.split('/')[1] ?? 'token',
      entity_id: '',
      expire_time: token.expires === undefined ? null : new Date(token.expires).toISOString(),
      explicit_max_ttl: 0,
      id: token.id,
      issue_time: new Date(token.issued).toISOString(),
      meta: token.metadata,
      num_uses: token.usesLeft ?? 0,
      orphan: true,
      path: token.path,
      policies: token.policies,
      renewable: token.renewable,
      ttl: token.expires === undefined ? 0 : Math.floor((token.expires - this.#now()) / 1000),
      type: 'service',
    }
  }
}

/** The `auth` member of a login's answer, and of a renewal's. */
export function describeToken(token: Token, leaseDuration = token.ttl): object {
  return {
    client_token: token.id,
    accessor: token.accessor,
    policies: token.policies,
    token_policies: token.policies,
    metadata: token.metadata,
    lease_duration: leaseDuration,
    renewable: token.renewable,
    entity_id: '',
    token_type: 'service',
    orphan: true,
  }
}

/** A duration as Vault takes it: seconds as a number or text, or `90s`, `15m`, `1h`, `2d`. */
function seconds(duration: unknown): number {
  const [, number = '0', unit = 's'] = /^(\d+)([smhd]?)$/.exec(String(duration ?? '')) ?? []
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: day }
  return Number(number) * (units[unit] ?? 1)
}
