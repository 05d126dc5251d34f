import { readFile } from 'node:fs/promises'
import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { AsherahError } from '../errors.ts'
import { collectBytes } from './secret-text.ts'
import { wiping } from './wiping-agent.ts'

/** Where Vault is, and how long it may take. */
export interface VaultPlace {
  /** URL of Vault, as in `VAULT_ADDR`. */
  readonly addr: string
  readonly namespace?: string | undefined
  /** PEM file of the authorities that may certify Vault, in place of those of the system. */
  readonly caPath?: string | undefined
  /** The name that Vault's certificate must be for, where it is not the one in the address. */
  readonly serverName?: string | undefined
  /** PEM files of the client's certificate and its key. */
  readonly clientCertPath?: string | undefined
  readonly clientKeyPath?: string | undefined
  readonly connectTimeoutMs: number
  /** For one call, with the attempts that it takes. */
  readonly queryTimeoutMs: number
}

export interface VaultCall {
  readonly method: 'GET' | 'POST'
  /** Without `/v1/`, as `auth/token/renew-self`. */
  readonly path: string
  readonly token?: string
  readonly body?: Uint8Array
  /** Whether it may be sent again when its answer is lost. */
  readonly repeatable: boolean
}

/** What was answered; the body is the caller's to overwrite. */
export interface VaultAnswer {
  readonly status: number
  readonly body: Uint8Array
}

const mostAnswerBytes = 1024 * 1024
/** Pauses before the second and third attempt. */
const pausesMs = [100, 400]
const passingStatuses: readonly number[] = [412, 429, 500, 502, 503, 504]
const redirects: readonly number[] = [301, 302, 307, 308]

/** Vault's HTTP API: one connection pool, which {@link VaultHttp.reload} replaces. */
export class VaultHttp {
  readonly #place: VaultPlace
  readonly #base: URL
  #agent: Agent | undefined
  /** What the files of certificates held when the agent was made. */
  #pems: readonly (Buffer | undefined)[] = []
  #loading: Promise<Agent> | undefined
  readonly #closing = new AbortController()

  constructor(place: VaultPlace) {
    this.#place = place
    this.#base = new URL(`${place.addr.replace(/\/+$/, '')}/v1/`)
  }

  /** Reads the certificates again, for connections from now on; false when they are the same. */
  async reload(): Promise<boolean> {
    const last = this.#agent
    if (last === undefined || this.#base.protocol !== 'https:') return false
    const pems = await this.#readPems()
    if (this.#agent !== last || pems.every((pem, index) => samePem(pem, this.#pems[index]))) return false
    this.#loading = undefined
    await this.#getAgent()
    retire(last)
    return true
  }

  close(): void {
    this.#closing.abort()
    this.#agent?.destroy()
  }

  /**
   * The answer of whatever status.
   *
   * @throws AsherahError `ERR_TIMEOUT` when the limit has passed, `ERR_KMS` when Vault cannot be reached, `ERR_CLOSED`.
   */
  async call(call: VaultCall): Promise<VaultAnswer> {
    const limit = new AbortController()
    const timer = setTimeout(() => limit.abort(), this.#place.queryTimeoutMs)
    try {
      return await this.#attempts(call, limit.signal)
    } catch (cause) {
      if (cause instanceof AsherahError) throw cause
      // Nobody waits any more: such a call is one of the background.
      if (this.#closing.signal.aborted) throw closedError()
      const { connectTimeoutMs, queryTimeoutMs } = this.#place
      if (limit.signal.aborted || cause instanceof ConnectTimeout) {
        const told = limit.signal.aborted ? queryTimeoutMs : connectTimeoutMs
        throw new AsherahError(
          'ERR_TIMEOUT',
          `Vault did not answer ${call.path} within ${told} ms. Check vaultAddr and the network, or raise the limit.`,
          { cause },
        )
      }
      throw new AsherahError(
        'ERR_KMS',
        `Vault could not be reached for ${call.path} (${codeOf(cause)}), which is the cause of this error. Check vaultAddr` +
          `${/CERT|SIGNATURE|TLS|SSL/.test(codeOf(cause)) ? ', and its certificate against vaultCaCert' : ''}.`,
        { cause },
      )
    } finally {
      clearTimeout(timer)
    }
  }

  async #attempts(call: VaultCall, signal: AbortSignal): Promise<VaultAnswer> {
    for (let attempt = 0; ; attempt += 1) {
      const pauseMs = call.repeatable ? pausesMs[attempt] : undefined
      let answer: VaultAnswer
      try {
        answer = await this.#follow(call, signal)
      } catch (error) {
        if (this.#closing.signal.aborted) throw error
        // A certificate of short life is renewed in its file while the token goes on: its next login may be far away.
        if (call.repeatable && !signal.aborted && (await this.reload())) continue
        if (pauseMs === undefined || signal.aborted || !isPassing(error)) throw error
        await pause(pauseMs, AbortSignal.any([signal, this.#closing.signal]))
        continue
      }
      if (pauseMs === undefined || !passingStatuses.includes(answer.status)) return answer
      await pause(pauseMs, AbortSignal.any([signal, this.#closing.signal]))
    }
  }

  /** A standby sends its client on to the active server, once. */
  async #follow(call: VaultCall, signal: AbortSignal): Promise<VaultAnswer> {
    const url = new URL(call.path, this.#base)
    const first = await this.#send(call, url, signal)
    if (!redirects.includes(first.status) || first.location === undefined) return first
    const there = new URL(first.location, url)
    if (there.protocol !== url.protocol && there.protocol !== 'https:') {
      throw new AsherahError(
        'ERR_KMS',
        `Vault redirects ${call.path} to an address without TLS, which is not followed. Correct its api_addr.`,
      )
    }
    return this.#send(call, there, signal)
  }

  async #send(
    { method, token, body }: VaultCall,
    url: URL,
    signal: AbortSignal,
  ): Promise<VaultAnswer & { readonly location: string | undefined }> {
    const { namespace, connectTimeoutMs } = this.#place
    const secure = url.protocol === 'https:'
    const agent = await this.#getAgent(secure)
    const request = (secure ? tlsRequest : plainRequest)(url, {
      method,
      agent,
      signal,
      headers: {
        Accept: 'application/json',
        'X-Vault-Request': 'true',
        ...(body !== undefined && { 'Content-Type': 'application/json', 'Content-Length': body.length }),
        ...(token !== undefined && { 'X-Vault-Token': token }),
        ...(namespace !== undefined && namespace !== '' && { 'X-Vault-Namespace': namespace }),
      },
    })
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve)
      request.on('error', reject)
    })
    limitConnecting(request, secure, connectTimeoutMs)
    request.end(body)
    const response = await answered
    return {
      status: response.statusCode ?? 0,
      location: response.headers.location,
      body: await collectBytes(response, mostAnswerBytes),
    }
  }

  async #getAgent(secure = this.#base.protocol === 'https:'): Promise<Agent> {
    if (this.#closing.signal.aborted) throw closedError()
    if (secure !== (this.#base.protocol === 'https:')) return this.#makeAgent(secure)
    this.#loading ??= this.#makeAgent(secure).then(
      (agent) => {
        if (this.#closing.signal.aborted) agent.destroy()
        this.#agent = agent
        return agent
      },
      (error: unknown) => {
        this.#loading = undefined
        throw error
      },
    )
    return this.#loading
  }

  #readPems(): Promise<readonly (Buffer | undefined)[]> {
    const { caPath, clientCertPath, clientKeyPath } = this.#place
    return Promise.all([caPath, clientCertPath, clientKeyPath].map(pem))
  }

  async #makeAgent(secure: boolean): Promise<Agent> {
    if (!secure) return wiping(new Agent({ keepAlive: true }))
    const pems = await this.#readPems()
    const [ca, cert, key] = pems
    const { serverName } = this.#place
    this.#pems = pems
    return wiping(
      new TlsAgent({
        keepAlive: true,
        minVersion: 'TLSv1.2',
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
        ...(serverName !== undefined && { servername: serverName }),
      }),
    )
  }
}

/** Ends an agent's connections, those in use when their calls are over. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0
  for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy()
}

function closedError(): AsherahError {
  return new AsherahError('ERR_CLOSED', 'The Vault KMS was closed: make a new one.')
}

class ConnectTimeout extends Error {
  override readonly name = 'ConnectTimeout'
}

function limitConnecting(request: ClientRequest, secure: boolean, limitMs: number): void {
  request.on('socket', (socket: Socket) => {
    if (!socket.connecting) return
    const timer = setTimeout(
      () => request.destroy(new ConnectTimeout(`no connection in ${limitMs} ms`)),
      limitMs,
    )
    const stop = (): void => clearTimeout(timer)
    socket.once(secure ? 'secureConnect' : 'connect', stop)
    socket.once('close', stop)
  })
}

function samePem(one: Buffer | undefined, other: Buffer | undefined): boolean {
  return one === undefined || other === undefined ? one === other : one.equals(other)
}

async function pem(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path)
  } catch (cause) {
    throw new AsherahError('ERR_KMS', `The file '${path}' for the connection to Vault could not be read.`, {
      cause,
    })
  }
}

const passingCodes: readonly string[] = [
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]

/** Whether it may be another time at the next attempt. */
function isPassing(error: unknown): boolean {
  return passingCodes.includes(codeOf(error))
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown }
  return String(code ?? name)
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal.addEventListener('abort', stop, { once: true })
  })
}
