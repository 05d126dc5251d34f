/** An answer of status 400 and above: `{"errors":[…]}` (developer.hashicorp.com/vault/api-docs#error-response). */
export class VaultRefusal extends Error {
  override readonly name = 'VaultRefusal'
  readonly status: number
  readonly errors: readonly string[]

  constructor(status: number, errors: readonly string[], options?: ErrorOptions) {
    super(`${status}: ${errors.join('; ')}`, options)
    this.status = status
    this.errors = errors
  }
}

/** What a token that was revoked, has expired or never was is told. */
export function invalidToken(): VaultRefusal {
  return new VaultRefusal(403, ['2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n'])
}

/** What a valid token is told whose policies do not allow the path. */
export function forbidden(): VaultRefusal {
  return new VaultRefusal(403, ['1 error occurred:\n\t* permission denied\n\n'])
}
