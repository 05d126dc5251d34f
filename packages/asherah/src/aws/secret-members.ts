import { emptyString, findString, type Span, unescapeInPlace } from '../kms/json-bytes.ts'
import { base64Length, collectBytes, writeBase64 } from '../kms/secret-text.ts'
import { secretBytes } from '../secret-bytes.ts'

/** The SDK's middleware, as far as it is used here: each layer calls the next one. */
type Layer<Arguments, Result> = (
  next: (given: Arguments) => Promise<Result>,
) => (given: Arguments) => Promise<Result>

interface Exchange {
  readonly input: object
  readonly request: { readonly body?: unknown }
}

interface Answer {
  readonly response: { readonly statusCode?: number; readonly body?: unknown }
}

interface Stack {
  add(
    layer: Layer<Exchange, Answer>,
    place: { readonly step: string; readonly priority: string; readonly name: string },
  ): void
}

/** No answer that is read here comes near it. */
const mostAnswerBytes = 1024 * 1024

/**
 * Takes secrets out of the answer to a command before the SDK reads it, as bytes, so that they never become strings. The
 * SDK then finds empty ones. `take` is lent the content of each member that is there; it is overwritten when it returns.
 *
 * Nothing is taken where the answer is not JSON or the client makes no HTTP calls: look into the SDK's output then.
 */
export function takeFromAnswer(
  command: object,
  names: readonly string[],
  take: (name: string, content: Uint8Array) => void,
): void {
  stackOf(command).add(
    (next) => async (given) => {
      const answer = await next(given)
      const { response } = answer
      if (response.statusCode !== 200) return answer
      const body = await bodyBytes(response.body)
      if (body === undefined) return answer
      for (const name of names) {
        const span = findString(body, [name])
        if (span !== undefined) takeOut(body, span, (content) => take(name, content))
      }
      return { ...answer, response: like(response, { body }) }
    },
    // Nearest to the wire: every other layer sees what this one leaves.
    { step: 'deserialize', priority: 'low', name: 'asherahTakeSecrets' },
  )
}

/** Thrown when the request has no place for the bytes: the SDK writes it in a form that is not known here. */
export class UnknownRequestForm extends Error {
  override readonly name = 'UnknownRequestForm'
}

/**
 * Puts the bytes of `input[name]` into the request of a command after the SDK has written it with zeroes in their place, so
 * that they never become strings. The request is overwritten when it has been answered, all retries included.
 */
export function giveInRequest(command: object, name: string, bytes: Uint8Array): void {
  const stack = stackOf(command)
  stack.add(
    (next) => (given) => next({ ...given, input: { ...given.input, [name]: new Uint8Array(bytes.length) } }),
    { step: 'initialize', priority: 'high', name: 'asherahWithholdSecret' },
  )
  stack.add(
    (next) => async (given) => {
      const { request } = given
      const body = requestBytes(request.body)
      const span = body === undefined ? undefined : findString(body, [name])
      if (body === undefined || span === undefined || span.end - span.start !== base64Length(bytes.length)) {
        throw new UnknownRequestForm()
      }
      try {
        writeBase64(bytes, body, span.start)
        return await next({ ...given, request: like(request, { body }) })
      } finally {
        body.fill(0)
      }
    },
    { step: 'build', priority: 'high', name: 'asherahGiveSecret' },
  )
}

function stackOf(command: object): Stack {
  return (command as { readonly middlewareStack: Stack }).middlewareStack
}

async function bodyBytes(body: unknown): Promise<Uint8Array | undefined> {
  if (body instanceof Uint8Array) return body
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return undefined
  return collectBytes(body as AsyncIterable<unknown>, mostAnswerBytes)
}

function takeOut(body: Uint8Array, span: Span, take: (content: Uint8Array) => void): void {
  try {
    const content = unescapeInPlace(body, span)
    if (content !== undefined) take(content)
  } finally {
    emptyString(body, span)
  }
}

/** A copy of the request's text, which holds zeroes in place of the secret. */
function requestBytes(body: unknown): Uint8Array | undefined {
  const given = typeof body === 'string' ? Buffer.from(body) : body
  if (!(given instanceof Uint8Array)) return undefined
  const bytes = secretBytes(given.length)
  bytes.set(given)
  return bytes
}

/** An object of the same class with other members. */
function like<T extends object>(value: T, members: Partial<T>): T {
  return Object.assign(Object.create(Object.getPrototypeOf(value) as object), value, members) as T
}
