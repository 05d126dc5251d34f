import { readFileSync } from 'node:fs'
import { AsherahError } from '../../errors.ts'

/** The text of a PEM file that a parameter of the connection string names. */
export function readPem(parameter: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    throw new AsherahError(
      'ERR_CONFIG_INVALID',
      `The file that ${parameter} of the connection string names could not be read (${code}).`,
    )
  }
}

/** The error for a connection string whose parameters cannot be used; it quotes names of ours only. */
export function parameterError(reason: string): AsherahError {
  return new AsherahError('ERR_CONFIG_INVALID', `The connection string ${reason}.`)
}
