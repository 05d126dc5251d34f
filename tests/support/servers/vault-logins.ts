import { createHmac, randomBytes, randomUUID, timingSafeEqual, type X509Certificate } from 'node:crypto'
import { VaultRefusal } from './vault-refusal.ts'
import type { TokenGrant } from './vault-tokens.ts'

/** What a login proved: the token it is worth. */
export interface Login {
  readonly grant: TokenGrant
  readonly metadata: Readonly<Record<string, string>>
}

export interface LoginRequest {
  readonly body: Readonly<Record<string, unknown>>
  /** The client's certificate, when the connection has one that its authority signed. */
  readonly certificate: X509Certificate | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

/** An auth method mounted somewhere. */
export interface VaultLogin {
  login(request: LoginRequest): Login
}

/**
 * developer.hashicorp.com/vault/api-docs/auth/approle#login-with-approle
 *
 * `{"role_id":"59d6d1ca-…","secret_id":"84896a0c-…"}` is answered with `{"auth":{"renewable":true,"lease_duration":1200,
 * "metadata":null,"token_policies":["default"],"accessor":"fd6c9a00-…","client_token":"5b1a0318-…"},"warnings":null,
 * "wrap_info":null,"data":null,"lease_duration":0,"renewable":false,"lease_id":""}`.
 */
export class VaultAppRole implements VaultLogin {
  readonly #roles = new Map<string, AppRole>()

  /** Makes a role. `bindSecretId: false`: the role id alone is enough. */
  addRole(name: string, grant: TokenGrant = {}, options: { readonly bindSecretId?: boolean } = {}): string {
    const roleId = randomUUID()
    this.#roles.set(roleId, { name, grant, bindSecretId: options.bindSecretId ?? true, secretIds: new Map() })
    return roleId
  }

  /** Makes a secret id, for `uses` logins; 0: any number. */
  addSecretId(roleId: string, uses = 0): string {
    const secretId = randomUUID()
    this.#role(roleId).secretIds.set(secretId, uses === 0 ? Number.POSITIVE_INFINITY : uses)
    return secretId
  }

  destroySecretId(roleId: string, secretId: string): void {
    this.#role(roleId).secretIds.delete(secretId)
  }

  login({ body }: LoginRequest): Login {
    const { role_id: roleId, secret_id: secretId } = body
    if (typeof roleId !== 'string' || roleId === '') throw new VaultRefusal(400, ['missing role_id'])
    const role = this.#role(roleId)
    if (role.bindSecretId) {
      if (typeof secretId !== 'string' || secretId === '') throw new VaultRefusal(400, ['missing secret_id'])
      const uses = role.secretIds.get(secretId)
      if (uses === undefined) throw new VaultRefusal(400, ['invalid role or secret ID'])
      if (uses > 1) role.secretIds.set(secretId, uses - 1)
      else role.secretIds.delete(secretId)
    }
    return { grant: role.grant, metadata: { role_name: role.name } }
  }

  #role(roleId: string): AppRole {
    const role = this.#roles.get(roleId)
    if (role === undefined) throw new VaultRefusal(400, ['invalid role or secret ID'])
    return role
  }
}

interface AppRole {
  readonly name: string
  readonly grant: TokenGrant
  readonly bindSecretId: boolean
  /** Logins left, by secret id. */
  readonly secretIds: Map<string, number>
}

/**
 * developer.hashicorp.com/vault/api-docs/auth/kubernetes#login
 *
 * `{"role":"dev-role","jwt":"eyJhbGci…"}` is answered with `{"auth":{"client_token":"62b858f9-…","accessor":"afa306d0-…",
 * "policies":["default"],"metadata":{"role":"test","service_account_name":"vault-auth","service_account_namespace":
 * "default","service_account_secret_name":"…","service_account_uid":"…"},"lease_duration":2764800,"renewable":true}}`.
 * Vault has Kubernetes review the token; here the server signs the tokens itself and checks its own signature.
 */
export class VaultKubernetes implements VaultLogin {
  readonly #secret = randomBytes(32)
  readonly #roles = new Map<string, KubernetesRole>()

  addRole(name: string, role: KubernetesRole): void {
    this.#roles.set(name, role)
  }

  /** The token of a service account, as a pod finds it in its file. */
  serviceAccountToken(account: ServiceAccount, expires: number): string {
    const claims = {
      iss: 'kubernetes/serviceaccount',
      exp: Math.floor(expires / 1000),
      'kubernetes.io': { namespace: account.namespace, serviceaccount: { name: account.name } },
    }
    const [head, body] = [{ alg: 'HS256', typ: 'JWT' }, claims].map((part) =>
      Buffer.from(JSON.stringify(part)).toString('base64url'),
    )
    return `${head}.${body}.${this.#sign(`${head}.${body}`).toString('base64url')}`
  }

  login({ body, now }: LoginRequest): Login {
    const { role: name, jwt } = body
    if (typeof name !== 'string' || name === '') throw new VaultRefusal(400, ['missing role'])
    if (typeof jwt !== 'string' || jwt === '') throw new VaultRefusal(400, ['missing jwt'])
    const role = this.#roles.get(name)
    if (role === undefined) throw new VaultRefusal(400, [`invalid role name "${name}"`])
    const account = this.#review(jwt, now)
    if (account.name !== role.account.name)
      throw new VaultRefusal(403, ['service account name not authorized'])
    if (account.namespace !== role.account.namespace)
      throw new VaultRefusal(403, ['namespace not authorized'])
    return {
      grant: role.grant ?? {},
      metadata: {
        role: name,
        service_account_name: account.name,
        service_account_namespace: account.namespace,
        service_account_secret_name: '',
        service_account_uid: randomUUID(),
      },
    }
  }

  #review(jwt: string, now: number): ServiceAccount {
    const [head = '', body = '', signature = ''] = jwt.trim().split('.')
    const expected = this.#sign(`${head}.${body}`)
    const given = Buffer.from(signature, 'base64url')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw new VaultRefusal(403, ['permission denied'])
    }
    const claims: { exp: number; 'kubernetes.io': { namespace: string; serviceaccount: { name: string } } } =
      JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    if (claims.exp * 1000 <= now) throw new VaultRefusal(403, ['permission denied'])
    const { namespace, serviceaccount } = claims['kubernetes.io']
    return { name: serviceaccount.name, namespace }
  }

  #sign(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest()
  }
}

export interface ServiceAccount {
  readonly name: string
  readonly namespace: string
}

export interface KubernetesRole {
  readonly account: ServiceAccount
  readonly grant?: TokenGrant
}

/**
 * developer.hashicorp.com/vault/api-docs/auth/cert#login-with-tls-certificate-method
 *
 * `{"name":"cert1"}`, or nothing, is answered with
 * `{"auth":{"client_token":"cf95f87d-…","policies":["web","stage"],"lease_duration":3600,"renewable":true}}`.
 */
export class VaultCertificateLogin implements VaultLogin {
  readonly #roles = new Map<string, { readonly commonName: string; readonly grant: TokenGrant }>()

  /** Lets in whoever has a certificate of the server's client authority with this common name. */
  addRole(name: string, commonName: string, grant: TokenGrant = {}): void {
    this.#roles.set(name, { commonName, grant })
  }

  login({ body, certificate }: LoginRequest): Login {
    const named = body['name']
    const commonName = certificate === undefined ? undefined : /^CN=(.*)$/m.exec(certificate.subject)?.[1]
    for (const [name, role] of this.#roles) {
      if (named !== undefined && named !== '' && named !== name) continue
      if (commonName === role.commonName) {
        return { grant: role.grant, metadata: { cert_name: name, common_name: commonName } }
      }
    }
    throw new VaultRefusal(400, ['invalid certificate or no client certificate supplied'])
  }
}
