import { readFile } from 'node:fs/promises'
import { AsherahError } from '../errors.ts'
import { vaultRefusal } from './vault-error.ts'
import type { VaultHttp } from './vault-http.ts'

/** How Vault is signed in to. */
export type VaultAuthOptions =
  | { readonly method: 'token'; readonly token: string }
  | {
      readonly method: 'kubernetes'
      readonly role: string
      /** `kubernetes` unless said. */
      readonly mount?: string
      /** File of the service account's token, read at each login; where Kubernetes mounts it unless said. */
      readonly tokenPath?: string
    }
  | {
      readonly method: 'approle'
      readonly roleId: string
      readonly secretId?: string
      /** `approle` unless said. */
      readonly mount?: string
    }
  /** By the client certificate of the connection. */
  | {
      readonly method: 'cert'
      readonly role?: string
      /** `cert` unless said. */
      readonly mount?: string
    }

/** A token and how long it is good for. */
export interface VaultLease {
  readonly token: string
  /** Seconds; 0 for a token that does not expire, or of which nothing is known. */
  readonly seconds: number
  readonly renewable: boolean
}

const kubernetesToken = '/var/run/secrets/kubernetes.io/serviceaccount/token'

/** Signs in by any method but a ready token. Never sent twice: a secret id may be good for one use. */
export async function vaultLogin(
  http: VaultHttp,
  auth: Exclude<VaultAuthOptions, { method: 'token' }>,
): Promise<VaultLease> {
  const path = `auth/${vaultPath(auth.mount ?? auth.method)}/login`
  const members = await credentials(auth)
  // Certificates and keys that were renewed since then count from now on.
  await http.reload()
  const body = Buffer.from(JSON.stringify(members))
  const answer = await http.call({ method: 'POST', path, body, repeatable: false })
  body.fill(0)
  if (answer.status !== 200) throw vaultRefusal(path, answer, Object.values(members))
  return leaseOf(path, answer.body)
}

/** Lengthens a token's life. Undefined when Vault refuses, so that another token is needed. */
export async function renewVaultToken(http: VaultHttp, token: string): Promise<VaultLease | undefined> {
  const path = 'auth/token/renew-self'
  const answer = await http.call({ method: 'POST', path, token, repeatable: true })
  if (answer.status === 400 || answer.status === 403) return undefined
  if (answer.status !== 200) throw vaultRefusal(path, answer, [token])
  return leaseOf(path, answer.body)
}

/** What Vault says of a token; undefined when it may not say it. */
export async function lookUpVaultToken(http: VaultHttp, token: string): Promise<VaultLease | undefined> {
  const answer = await http.call({ method: 'GET', path: 'auth/token/lookup-self', token, repeatable: true })
  if (answer.status !== 200) return undefined
  const { data } = parsed(answer.body) as {
    readonly data?: { readonly ttl?: unknown; readonly renewable?: unknown }
  }
  return { token, seconds: Number(data?.ttl ?? 0), renewable: data?.renewable === true }
}

async function credentials(
  auth: Exclude<VaultAuthOptions, { method: 'token' }>,
): Promise<Readonly<Record<string, string>>> {
  switch (auth.method) {
    case 'kubernetes':
      return { role: auth.role, jwt: await serviceAccountToken(auth.tokenPath ?? kubernetesToken) }
    case 'approle':
      return { role_id: auth.roleId, ...(auth.secretId !== undefined && { secret_id: auth.secretId }) }
    case 'cert':
      return auth.role === undefined ? {} : { name: auth.role }
  }
}

async function serviceAccountToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    throw new AsherahError('ERR_KMS', `The service account's token could not be read from '${path}'.`, {
      cause,
    })
  }
}

function leaseOf(path: string, body: Uint8Array): VaultLease {
  const { auth } = parsed(body) as {
    readonly auth?: {
      readonly client_token?: unknown
      readonly lease_duration?: unknown
      readonly renewable?: unknown
    } | null
  }
  const { client_token: token, lease_duration: seconds, renewable } = auth ?? {}
  if (typeof token !== 'string' || token === '') {
    throw new AsherahError(
      'ERR_KMS',
      `Vault answered ${path} without a token: does the role demand a second factor?`,
    )
  }
  return { token, seconds: typeof seconds === 'number' ? seconds : 0, renewable: renewable === true }
}

function parsed(body: Uint8Array): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body))
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    // The parser's own error quotes the text.
    return {}
  } finally {
    body.fill(0)
  }
}

/** A mount or key in a URL: `/` divides a mount's parts. */
export function vaultPath(name: string): string {
  return name
    .replaceAll(/^\/+|\/+$/g, '')
    .split('/')
    .map(encodeURIComponent)
    .join('/')
}
