import { AsherahError, type AsherahErrorCode } from 'asherah'
import { type ExitCode, exitCode } from './exit-code.ts'

/** Every code of the command's own; those of the library appear as they are. */
export type CommandErrorCode =
  | 'ERR_USAGE'
  | 'ERR_SECRET_FLAG'
  | 'ERR_CONFIG_FILE'
  | 'ERR_ACTION_LOG'
  | 'ERR_INPUT'
  | 'ERR_OUTPUT'
  | 'ERR_ABSENT'
  | 'ERR_CONFLICT'
  | 'ERR_NOT_PROVEN'
  | 'ERR_INTERRUPTED'

const exitCodes: Readonly<Record<CommandErrorCode, ExitCode>> = {
  ERR_USAGE: exitCode.usage,
  ERR_SECRET_FLAG: exitCode.usage,
  ERR_CONFIG_FILE: exitCode.configuration,
  ERR_ACTION_LOG: exitCode.failed,
  ERR_INPUT: exitCode.failed,
  ERR_OUTPUT: exitCode.failed,
  ERR_ABSENT: exitCode.absent,
  ERR_CONFLICT: exitCode.unfinished,
  ERR_NOT_PROVEN: exitCode.found,
  ERR_INTERRUPTED: exitCode.interrupted,
}

/**
 * An error for whoever typed the command: what is wrong, and the next thing to type. It never shows a secret.
 *
 * @example
 * ```ts
 * throw new CommandError('ERR_USAGE', 'no partition is named', 'asherah keys revoke --partition ID')
 * ```
 */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly code: CommandErrorCode
  readonly hint: string | undefined

  constructor(
    code: CommandErrorCode,
    message: string,
    hint?: string,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options)
    this.code = code
    this.hint = hint
  }

  get exitCode(): ExitCode {
    return exitCodes[this.code]
  }
}

/** An error of the library, with the next thing to type in what was being done. */
export class HintedError extends Error {
  override readonly name = 'HintedError'
  override readonly cause: AsherahError
  readonly hint: string

  constructor(cause: AsherahError, hint: string) {
    super(cause.message)
    this.cause = cause
    this.hint = hint
  }
}

const configurationCodes: readonly AsherahErrorCode[] = [
  'ERR_CONFIG_INVALID',
  'ERR_NOT_BUILT_IN',
  'ERR_DRIVER_MISSING',
]

/** What is told of any error that ends the command. */
export interface ToldError {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly exitCode: ExitCode
}

export function toldError(error: unknown): ToldError {
  if (error instanceof CommandError) {
    const { code, message, hint } = error
    return { code, message, ...(hint !== undefined && { hint }), exitCode: error.exitCode }
  }
  if (error instanceof HintedError) return { ...toldError(error.cause), hint: error.hint }
  if (error instanceof AsherahError) {
    const { code, message } = error
    if (configurationCodes.includes(code)) {
      return { code, message, hint: 'asherah doctor', exitCode: exitCode.configuration }
    }
    return { code, message, exitCode: code === 'ERR_KEY_NOT_FOUND' ? exitCode.absent : exitCode.failed }
  }
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  return {
    code: typeof code === 'string' ? code : 'ERR_UNEXPECTED',
    // A system error names a file and what was wrong with it; what else is thrown is a fault of the command.
    message: typeof message === 'string' ? message : 'something that is no error was thrown',
    exitCode: exitCode.failed,
  }
}
