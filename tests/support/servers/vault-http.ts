import { randomUUID, type X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { TLSSocket } from 'node:tls'
import { VaultRefusal } from './vault-refusal.ts'

export interface Answer {
  readonly status: number
  readonly body: string
  readonly contentType: string
  readonly location?: string
}

/** Every answer with a body has these members; see the samples of the token and approle documentation. */
export function envelope(part: {
  readonly data?: object
  readonly auth?: object
  readonly warnings?: readonly string[] | null
}): Answer {
  const { data = null, auth = null, warnings = null } = part
  return json(200, {
    request_id: randomUUID(),
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: null,
    warnings,
    auth,
  })
}

export function json(status: number, body: unknown): Answer {
  return { status, body: `${JSON.stringify(body)}\n`, contentType: 'application/json' }
}

export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

export function parse(body: string): Readonly<Record<string, unknown>> {
  if (body === '') return {}
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {
    // Told below, as for any other text that is no object.
  }
  throw new VaultRefusal(400, ['error parsing JSON'])
}

export function header(request: IncomingMessage, name: string): string {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}

export function clientCertificate(request: IncomingMessage): X509Certificate | undefined {
  const { socket } = request
  return socket instanceof TLSSocket && socket.authorized ? socket.getPeerX509Certificate() : undefined
}
