/** The statuses of gRPC that this server gives, by the names of its specification. */
export const status = {
  ok: 0,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

export type Status = (typeof status)[keyof typeof status]

/** Ends a call with a status. Its message reaches the client. */
export class GrpcError extends Error {
  readonly status: Status

  constructor(code: Status, message: string) {
    super(message)
    this.status = code
  }
}

/** `grpc-message` as a header may hold it: printable ASCII but `%`, everything else percent-encoded UTF-8. */
export function encodedMessage(message: string): string {
  return message
    .toWellFormed()
    .replaceAll(/[^\x20-\x24\x26-\x7e]+/g, (text) =>
      [...Buffer.from(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    )
}

const unitMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/** Milliseconds of a `grpc-timeout`, at least 0; undefined for text that is none. */
export function timeoutMs(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(text) ?? []
  const scale = unitMs[unit]
  return digits === undefined || scale === undefined ? undefined : Number(digits) * scale
}
