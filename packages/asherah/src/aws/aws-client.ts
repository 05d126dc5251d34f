import type { Agent } from 'node:http'
import { AsherahError } from '../errors.ts'

/** How long the AWS clients that are made here may take. */
export interface AwsLimits {
  /** Milliseconds for a connection; 5,000 unless said. */
  readonly connectTimeoutMs?: number
  /** Milliseconds for one call of a service, the SDK's own retries included; 10,000 unless said. */
  readonly queryTimeoutMs?: number
}

/** What the configuration of every AWS client that is made here is made from. */
export interface AwsClientOptions extends AwsLimits {
  readonly region?: string | undefined
  readonly profile?: string | undefined
  readonly endpoint?: string | undefined
  /** Changes the connections of the client before their first use. */
  readonly prepareAgent?: (agent: Agent) => void
}

/** A client of any service of the SDK, as far as it is used here. */
export interface AwsClient<Command> {
  send(command: Command, options: { readonly abortSignal: AbortSignal }): Promise<unknown>
}

const connectionsAtOnce = 50

/** The configuration of a client; what is left out is found by the SDK's own chains. */
export function awsClientConfig(options: AwsClientOptions) {
  const { region, profile, endpoint, prepareAgent = () => {} } = options
  const agents = { keepAlive: true, maxSockets: connectionsAtOnce }
  // The facade that `import` puts before `node:http` loads its WebSocket too: 5 MB of memory.
  const httpAgent = new (process.getBuiltinModule('node:http').Agent)(agents)
  const httpsAgent = new (process.getBuiltinModule('node:https').Agent)(agents)
  prepareAgent(httpAgent)
  prepareAgent(httpsAgent)
  return {
    ...(region !== undefined && { region }),
    ...(profile !== undefined && { profile }),
    ...(endpoint !== undefined && { endpoint }),
    requestHandler: {
      httpAgent,
      httpsAgent,
      connectionTimeout: options.connectTimeoutMs ?? 5000,
      requestTimeout: queryTimeoutMs(options),
      throwOnRequestTimeout: true,
    },
  }
}

export function queryTimeoutMs(limits: AwsLimits): number {
  return limits.queryTimeoutMs ?? 10_000
}

/**
 * Sends a command and gives up after the limit, with all its retries.
 *
 * @throws AsherahError `ERR_TIMEOUT` when the limit has passed; else what the SDK throws.
 */
export async function sendWithin<Command>(
  client: AwsClient<Command>,
  command: Command,
  what: string,
  limitMs: number,
): Promise<unknown> {
  const limit = new AbortController()
  // A timer of its own, since the one of AbortSignal.timeout would run on after the answer.
  const timer = setTimeout(() => limit.abort(), limitMs)
  try {
    return await client.send(command, { abortSignal: limit.signal })
  } catch (cause) {
    if (!limit.signal.aborted && !isTimeout(cause)) throw cause
    throw new AsherahError(
      'ERR_TIMEOUT',
      `${what} did not answer in time: the limit of one call is ${limitMs} ms. Check the region, the endpoint and the ` +
        'network, or raise the limit.',
      { cause },
    )
  } finally {
    clearTimeout(timer)
  }
}

/** The SDK calls a connection that was reset or closed a timeout too. */
function isTimeout(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown }
  return isNamed(error, 'TimeoutError') && code !== 'ECONNRESET' && code !== 'EPIPE'
}

/** Whether it is this error of a service: by name, since the SDK may be there twice. */
export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return (
    typeof error === 'object' && error !== null && names.includes(String((error as { name?: unknown }).name))
  )
}

/**
 * The region that the client's calls are signed for, as the SDK finds it: its configuration, AWS_REGION, the profile. The
 * SDK throws when there is none.
 */
export async function regionOf(client: {
  readonly config: { region(): Promise<string> }
}): Promise<string | undefined> {
  try {
    const region = await client.config.region()
    return region === '' ? undefined : region
  } catch {
    // "Region is missing" is the only thing that this can say; the caller says it with what to do.
    return undefined
  }
}
