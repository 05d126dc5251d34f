/** What keeps a sidecar from running; `docs/sidecar.md` says for each what to do. */
export type ServerErrorCode =
  | 'ERR_SOCKET_IN_USE'
  | 'ERR_SOCKET_OCCUPIED'
  | 'ERR_SOCKET_PATH'
  | 'ERR_LISTEN'
  | 'ERR_WORKER'

/**
 * A sidecar that cannot run. The message ends with the next thing to type or to do; it holds no secret.
 *
 * @example
 * ```ts
 * try {
 *   await serve(settings)
 * } catch (error) {
 *   if (error instanceof ServerError && error.code === 'ERR_SOCKET_IN_USE') return 'already running'
 *   throw error
 * }
 * ```
 */
export class ServerError extends Error {
  readonly code: ServerErrorCode

  constructor(code: ServerErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
    Object.defineProperty(this, 'name', { value: 'ServerError', configurable: true, writable: true })
  }
}

/** The code that the operating system gave, such as `EACCES`. */
export function systemCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unknown error'
}
