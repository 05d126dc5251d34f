import { once } from 'node:events'
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Answer, clientCertificate, envelope, header, json, parse, readBody } from './vault-http.ts'
import type { VaultLogin } from './vault-logins.ts'
import { forbidden, VaultRefusal } from './vault-refusal.ts'
import { describeToken, type Token, type TokenGrant, VaultTokens } from './vault-tokens.ts'
import { VaultTransit } from './vault-transit.ts'

export interface VaultOptions {
  /**
   * PEM texts. With `clientAuthority`, certificates that it signed are asked for, and the `cert` login works; with
   * `clientRequired`, who shows none is not let in.
   */
  readonly tls?: {
    readonly cert: string
    readonly key: string
    readonly clientAuthority?: string
    readonly clientRequired?: boolean
  }
  /** Milliseconds since 1970; the system's clock by default. Tokens expire by it. */
  readonly now?: () => number
}

/**
 * What stands between the client and a healthy Vault.
 *
 * - `sealed`: 503 to everything but its health.
 * - `html`: a proxy's error page, which is no JSON.
 * - `slow`: the answer, after so many milliseconds.
 * - `standby`: 307 to another address.
 * - `answer`: any status and body.
 */
export type VaultMood =
  | { readonly kind: 'healthy' }
  | { readonly kind: 'sealed' }
  | { readonly kind: 'html'; readonly status?: number }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'standby'; readonly location: string }
  | { readonly kind: 'answer'; readonly status: number; readonly body: string; readonly contentType?: string }

/** One request as the server saw it, without its secrets. */
export interface VaultRequest {
  readonly method: string
  /** Without `/v1/`. */
  readonly path: string
  readonly namespace: string
  /** The accessor of its token, when it was valid. */
  readonly accessor: string | undefined
  readonly status: number
}

/**
 * A server that speaks the part of Vault's HTTP API that a transit KMS uses. There is no Vault to be had where the tests
 * run, so shapes are pinned to its public API documentation, whose section is named beside each. The words of the errors
 * are those of Vault's own sources and reports, as the documentation gives none.
 *
 * Not checked against a Vault: the words for a plaintext that is not base64, and for a role that does not exist.
 */
export class VaultServer {
  readonly rootToken: string
  readonly tokens: VaultTokens
  readonly #options: VaultOptions
  readonly #server: Server
  readonly #namespaces = new Map<string, Namespace>()
  readonly #requests: VaultRequest[] = []
  readonly #now: () => number
  #mood: VaultMood = { kind: 'healthy' }
  #port = 0
  #closing = new AbortController()

  private constructor(options: VaultOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.tokens = new VaultTokens(this.#now)
    this.rootToken = this.tokens.issue(
      { ttl: 0, policies: ['root'] },
      { namespace: '', path: 'auth/token/root' },
    ).id
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#serve(request, response)
    }
    const { tls } = options
    this.#server =
      tls === undefined
        ? createHttpServer(listener)
        : createHttpsServer(
            {
              cert: tls.cert,
              key: tls.key,
              ...(tls.clientAuthority !== undefined && { ca: tls.clientAuthority, requestCert: true }),
              // As Vault: a client without a certificate may still use a token, unless the listener says
              // tls_require_and_verify_client_cert (developer.hashicorp.com/vault/docs/configuration/listener/tcp).
              rejectUnauthorized: tls.clientRequired === true,
            },
            listener,
          )
  }

  /** Listens on a free port of 127.0.0.1, with an empty transit engine at `transit` in the root namespace. */
  static async start(options: VaultOptions = {}): Promise<VaultServer> {
    const vault = new VaultServer(options)
    await vault.listen()
    return vault
  }

  /** As in `VAULT_ADDR`. */
  get address(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`
  }

  get port(): number {
    return this.#port
  }

  /** Every request so far, in the order of the answers. */
  get requests(): readonly VaultRequest[] {
    return this.#requests
  }

  /** Listens again on the same port after {@link close}; keys, roles and tokens are as before. */
  async listen(): Promise<void> {
    this.#closing = new AbortController()
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (address !== null && typeof address !== 'string') this.#port = address.port
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    this.#closing.abort()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Sets how requests are met from now on. */
  set(mood: VaultMood): void {
    this.#mood = mood
  }

  /** The transit engine at `mount`, made when it is not there. */
  transit(mount = 'transit', namespace = ''): VaultTransit {
    const { engines } = this.#namespace(namespace, true)
    const engine = engines.get(mount) ?? new VaultTransit()
    engines.set(mount, engine)
    return engine
  }

  /** Mounts an auth method at `auth/{mount}`. */
  enableLogin<T extends VaultLogin>(mount: string, login: T, namespace = ''): T {
    this.#namespace(namespace, true).logins.set(mount, login)
    return login
  }

  /** A token as `auth/token/create` makes it. */
  issueToken(grant: TokenGrant = {}, namespace = ''): string {
    return this.tokens.issue(grant, { namespace: normal(namespace), path: 'auth/token/create' }).id
  }

  #namespace(name: string, make: boolean): Namespace {
    const key = normal(name)
    const present = this.#namespaces.get(key)
    if (present !== undefined) return present
    if (!make && key !== '') throw new VaultRefusal(404, ['namespace not found'])
    const made: Namespace = { engines: new Map(), logins: new Map() }
    if (key === '') made.engines.set('transit', new VaultTransit())
    this.#namespaces.set(key, made)
    return made
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.address)
    const path = decodeURIComponent(url.pathname).replace(/^\/v1\//, '')
    const namespace = normal(header(request, 'x-vault-namespace'))
    const call: Call = { method: request.method ?? '', path, namespace, token: undefined }
    const answer = await this.#answer(call, request).catch((error: unknown) => {
      if (error instanceof VaultRefusal) return json(error.status, { errors: error.errors })
      return json(500, { errors: ['internal error'] })
    })
    const { method } = call
    this.#requests.push({ method, path, namespace, accessor: call.token?.accessor, status: answer.status })
    response.writeHead(answer.status, {
      'Content-Type': answer.contentType,
      'Cache-Control': 'no-store',
      ...(answer.location !== undefined && { Location: answer.location }),
    })
    response.end(answer.body)
  }

  async #answer(call: Call, request: IncomingMessage): Promise<Answer> {
    const body = await readBody(request)
    const mood = this.#mood
    switch (mood.kind) {
      case 'html':
        return {
          status: mood.status ?? 502,
          body: '<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>',
          contentType: 'text/html',
        }
      case 'answer':
        return { status: mood.status, body: mood.body, contentType: mood.contentType ?? 'application/json' }
      case 'standby':
        return {
          status: 307,
          body: '',
          contentType: 'text/plain',
          location: `${mood.location}/v1/${call.path}`,
        }
      case 'slow':
        await sleep(mood.ms, undefined, { signal: this.#closing.signal })
    }
    if (call.path === 'sys/health') return this.#health()
    if (mood.kind === 'sealed') throw new VaultRefusal(503, ['Vault is sealed'])
    return this.#route(call, request, parse(body))
  }

  /** developer.hashicorp.com/vault/api-docs/system/health#read-health-information */
  #health(): Answer {
    const sealed = this.#mood.kind === 'sealed'
    const time = Math.floor(this.#now() / 1000)
    return json(sealed ? 503 : 200, { initialized: true, sealed, standby: false, server_time_utc: time })
  }

  #route(call: Call, request: IncomingMessage, body: Readonly<Record<string, unknown>>): Answer {
    const space = this.#namespace(call.namespace, false)
    const segments = call.path.split('/')
    const last = segments.at(-1)
    if (segments[0] === 'auth' && last === 'login') {
      return this.#login(call, space, segments.slice(1, -1).join('/'), request, body)
    }
    const token = this.#authenticate(call, request)
    if (segments[0] === 'auth' && segments[1] === 'token') return this.#tokenRoute(call, token, body)
    for (const [mount, engine] of space.engines) {
      if (call.path.startsWith(`${mount}/`)) {
        return transitRoute(call, engine, token, call.path.slice(mount.length + 1), body)
      }
    }
    throw noRoute(call.path)
  }

  #login(
    call: Call,
    space: Namespace,
    mount: string,
    request: IncomingMessage,
    body: Readonly<Record<string, unknown>>,
  ): Answer {
    // PUT and POST are synonyms (developer.hashicorp.com/vault/api-docs#api-operations).
    requireMethod(call, ['POST', 'PUT'])
    const login = space.logins.get(mount)
    // A path that nobody may use without a token is not told apart from one that does not exist.
    if (login === undefined) throw new VaultRefusal(403, ['permission denied'])
    const { grant, metadata } = login.login({
      body,
      certificate: clientCertificate(request),
      now: this.#now(),
    })
    const token = this.tokens.issue(grant, { namespace: call.namespace, path: call.path, metadata })
    return envelope({ auth: describeToken(token) })
  }

  /** developer.hashicorp.com/vault/api-docs#authentication: `X-Vault-Token`, or `Authorization: Bearer`. */
  #authenticate(call: Call, request: IncomingMessage): Token {
    const bearer = /^Bearer (.+)$/.exec(header(request, 'authorization'))?.[1]
    const id = header(request, 'x-vault-token') || bearer
    if (id === undefined || id === '') throw new VaultRefusal(403, ['permission denied'])
    const token = this.tokens.use(id)
    call.token = token
    // A token works in its own namespace and those below it.
    const below = token.namespace === '' || `${call.namespace}/`.startsWith(`${token.namespace}/`)
    if (!below) throw forbidden()
    return token
  }

  #tokenRoute(call: Call, token: Token, body: Readonly<Record<string, unknown>>): Answer {
    switch (call.path) {
      case 'auth/token/lookup-self':
        requireMethod(call, ['GET'])
        return envelope({ data: this.tokens.lookUp(token) })
      case 'auth/token/renew-self': {
        requireMethod(call, ['POST', 'PUT'])
        return envelope(this.tokens.renew(token, body['increment']))
      }
      case 'auth/token/revoke-self':
        requireMethod(call, ['POST', 'PUT'])
        this.tokens.revoke(token.id)
        return { status: 204, body: '', contentType: 'application/json' }
      default:
        throw noRoute(call.path)
    }
  }
}

interface Namespace {
  readonly engines: Map<string, VaultTransit>
  readonly logins: Map<string, VaultLogin>
}

interface Call {
  readonly method: string
  readonly path: string
  readonly namespace: string
  token: Token | undefined
}

function transitRoute(
  call: Call,
  engine: VaultTransit,
  token: Token,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Answer {
  if (!token.paths.some((prefix) => call.path.startsWith(prefix))) throw forbidden()
  const [action = '', name = '', detail, ...more] = path.split('/')
  if (name === '' || more.length > 0) throw new VaultRefusal(404, ['unsupported path'])
  const route = detail === undefined ? action : `${action}/${detail}`
  switch (route) {
    case 'encrypt':
      requireMethod(call, ['POST', 'PUT'])
      // The endpoint makes a missing key for whoever has the `create` capability, as the root token does.
      if (token.policies.includes('root')) engine.create(name)
      return envelope({ data: engine.encrypt(name, body) })
    case 'decrypt':
      requireMethod(call, ['POST', 'PUT'])
      return envelope({ data: engine.decrypt(name, body) })
    case 'keys':
      requireMethod(call, ['GET', 'POST', 'PUT'])
      if (call.method !== 'GET') engine.create(name)
      return envelope({ data: engine.read(name) })
    case 'keys/rotate':
      requireMethod(call, ['POST', 'PUT'])
      engine.rotate(name)
      return envelope({ data: engine.read(name) })
    case 'keys/config':
      requireMethod(call, ['POST', 'PUT'])
      engine.setMinDecryptionVersion(name, Number(body['min_decryption_version'] ?? 0))
      return envelope({ data: engine.read(name) })
    default:
      throw new VaultRefusal(404, ['unsupported path'])
  }
}

function requireMethod(call: Call, methods: readonly string[]): void {
  if (!methods.includes(call.method)) throw new VaultRefusal(405, ['unsupported operation'])
}

function noRoute(path: string): VaultRefusal {
  return new VaultRefusal(404, [`no handler for route "${path}". route entry not found.`])
}

/** `/team/` and `team` are the same namespace. */
function normal(namespace: string): string {
  return namespace.replaceAll(/^\/+|\/+$/g, '')
}
