import { AsherahError } from '../errors.ts'
import type { VaultAnswer } from './vault-http.ts'

/** Most characters of an answer that an error shows. */
const mostShown = 256

/** What was sent and must not be shown: text, or bytes that must not become text. */
export type VaultSecret = string | Uint8Array

/** The base64 of 32 bytes, as JSON writers may escape it: what a proxy hands on with another status may hold the key itself. */
const keyText = /(?:[a-z0-9+]|\\?\/|\\u00[0-9a-f]{2}){43}(?:=|\\u003d)/gi

const hints: ReadonlyMap<number, string> = new Map([
  [400, 'Check vaultTransitKey, and that the key still decrypts the version that sealed this system key.'],
  [403, "Check that the token's policies allow `update` on this path, and vaultNamespace."],
  [404, 'Check vaultTransitMount, vaultAuthMount and vaultNamespace.'],
  [503, 'Unseal Vault, or wait for its maintenance to end.'],
])

/**
 * The error for an answer that is no success. It shows what Vault says, or the beginning of what something else says, and
 * never what was sent, nor what could be a key: `secrets` are struck out of it. The body is overwritten.
 */
export function vaultRefusal(
  path: string,
  answer: VaultAnswer,
  secrets: readonly VaultSecret[],
): AsherahError {
  const { status, body } = answer
  const said = struckOut(body, secrets)
  body.fill(0)
  const hint = hints.get(status)
  return new AsherahError(
    'ERR_KMS',
    `Vault answered ${status} to ${path}${said === '' ? '' : `: ${said}`}${/[.!?]$/.test(said) ? '' : '.'}` +
      `${hint === undefined ? '' : ` ${hint}`}`,
  )
}

function struckOut(body: Uint8Array, secrets: readonly VaultSecret[]): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  strike(bytes, secrets)
  const text = Buffer.from(vaultErrors(bytes) ?? bytes)
  // What JSON had escaped stands there in clear only now.
  strike(text, secrets)
  return text
    .toString()
    .replaceAll(keyText, '***')
    .replaceAll(/[\s\p{C}]+/gu, ' ')
    .trim()
    .slice(0, mostShown)
}

function strike(bytes: Buffer, secrets: readonly VaultSecret[]): void {
  for (const secret of secrets.filter(({ length }) => length > 0)) {
    const length = typeof secret === 'string' ? Buffer.byteLength(secret) : secret.length
    for (let at = bytes.indexOf(secret); at >= 0; at = bytes.indexOf(secret, at))
      bytes.fill('*', at, at + length)
  }
}

/** `{"errors":["…","…"]}`, joined; undefined when the body is something else. */
function vaultErrors(bytes: Buffer): string | undefined {
  try {
    const { errors } = JSON.parse(bytes.toString()) as { readonly errors?: unknown }
    return Array.isArray(errors) ? errors.map(String).join('; ') : undefined
  } catch {
    // Not Vault's: shown as it is, as far as it may be.
    return undefined
  }
}
