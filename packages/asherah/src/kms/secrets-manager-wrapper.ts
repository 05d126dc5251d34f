import { isNamed } from '../aws/aws-client.ts'
import type { Work } from '../engine/work.ts'
import { settled } from '../engine/work.ts'
import { AsherahError } from '../errors.ts'
import { type KeyHandle, type NativeBinding, unwrapAuthentication } from '../native/binding.ts'
import { checked } from '../native/checked.ts'
import { wrapKey } from '../native/wrap-key.ts'
import { kmsReport } from './kms-report.ts'
import type { SecretsManagerSecret, SecretVersion, VersionChoice } from './secrets-manager-secret.ts'
import type { SystemKeyWrapper } from './system-key-wrapper.ts'

const sealedBytes = 60
/** Earlier versions that are held once they have been needed. */
const mostHeld = 10
/** Earlier versions that one system key may cause to be read. */
const mostRead = 20
/** Pause before the current version is looked up again after that failed. */
const backOffMs = 10_000

/**
 * System keys under a master key that a secret holds. The secret may change: new system keys are sealed under its current
 * version, old ones are opened with the version that sealed them, for as long as Secrets Manager keeps it.
 */
export class SecretsManagerWrapper implements SystemKeyWrapper {
  readonly #native: NativeBinding
  readonly #secret: () => Promise<SecretsManagerSecret>
  readonly #checkIntervalMs: number
  readonly #close: () => void
  #current: SecretVersion | undefined
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #check: Promise<SecretVersion> | undefined
  /** The one used last is the last one. */
  readonly #earlier = new Map<string, SecretVersion>()
  #closed = false

  constructor(parts: {
    readonly native: NativeBinding
    readonly secret: () => Promise<SecretsManagerSecret>
    readonly checkIntervalMs: number
    readonly close: () => void
  }) {
    this.#native = parts.native
    this.#secret = parts.secret
    this.#checkIntervalMs = parts.checkIntervalMs
    this.#close = parts.close
  }

  *wrap(key: KeyHandle): Work<Uint8Array> {
    const current = yield* this.#fresh()
    return wrapKey(this.#native, key, current.key)
  }

  *unwrap(encryptedKey: Uint8Array): Work<KeyHandle> {
    if (encryptedKey.length !== sealedBytes) {
      throw new AsherahError(
        'ERR_KMS',
        'A system key was not sealed with a secret: its row has another length. Configure the KMS that this metastore was ' +
          'written with, or restore the row from a backup.',
      )
    }
    const current = yield* this.#fresh()
    for (const version of [current, ...[...this.#earlier.values()].reverse()]) {
      const key = this.#open(encryptedKey, version)
      if (key !== undefined) return this.#told(key, version)
    }
    return yield* this.#search(encryptedKey)
  }

  // biome-ignore lint/correctness/useYield: it never has to wait.
  *close(): Work<void> {
    this.#close()
  }

  /** Gives up every key; called once, when the KMS closes. */
  release(): void {
    this.#closed = true
    for (const { key } of [
      ...this.#earlier.values(),
      ...(this.#current === undefined ? [] : [this.#current]),
    ]) {
      this.#native.keyRelease(key)
    }
    this.#earlier.clear()
    this.#current = undefined
  }

  /** The current version, looked up again when its check is due; one that is held serves on while that fails. */
  *#fresh(): Work<SecretVersion> {
    const held = this.#current
    if (held !== undefined && performance.now() - this.#checkedAtMs < this.#checkIntervalMs) return held
    try {
      return yield* settled(this.#lookUp())
    } catch (error) {
      if (held === undefined || held !== this.#current) throw failed('could not be read', [error])
      kmsReport.secretNotRefreshed(error)
      this.#checkedAtMs = performance.now() - this.#checkIntervalMs + backOffMs
      return held
    }
  }

  #lookUp(): Promise<SecretVersion> {
    this.#check ??= this.#lookUpNow().finally(() => {
      this.#check = undefined
    })
    return this.#check
  }

  async #lookUpNow(): Promise<SecretVersion> {
    const found = await this.#read({ VersionStage: 'AWSCURRENT' })
    this.#checkedAtMs = performance.now()
    const held = this.#current
    if (held?.id === found.id) {
      this.#native.keyRelease(found.key)
      return held
    }
    this.#current = found
    if (held !== undefined) this.#keep(held)
    return found
  }

  /** Goes through the versions that are not held, and remembers the one that opens the system key. */
  *#search(encryptedKey: Uint8Array): Work<KeyHandle> {
    const failures: unknown[] = []
    const before = this.#current
    try {
      // Another process may have sealed it with a version that is newer than the one held.
      const version = yield* settled(this.#lookUp())
      const key = version === before ? undefined : this.#open(encryptedKey, version)
      if (key !== undefined) return key
    } catch (error) {
      failures.push(error)
    }
    const tried = new Set([this.#current?.id, ...this.#earlier.keys()])
    const choices: VersionChoice[] = [{ VersionStage: 'AWSPREVIOUS' }]
    let listed = false
    for (let read = 0; read <= mostRead; read += 1) {
      if (choices.length === 0 && !listed) {
        listed = true
        choices.push(...(yield* this.#listed(tried, failures)))
      }
      const choice = choices.shift()
      if (choice === undefined) break
      try {
        const version = yield* settled(this.#read(choice))
        const key = tried.has(version.id) ? undefined : this.#open(encryptedKey, version)
        tried.add(version.id)
        if (key !== undefined) {
          this.#keep(version)
          return this.#told(key, version)
        }
        this.#native.keyRelease(version.key)
      } catch (error) {
        // Most secrets have never had another version.
        if (!isNamed(error, 'ResourceNotFoundException')) failures.push(error)
      }
    }
    throw failed('opens a system key with none of its versions', failures)
  }

  *#listed(tried: ReadonlySet<string | undefined>, failures: unknown[]): Work<VersionChoice[]> {
    try {
      const secret = yield* settled(this.#secret())
      const ids = yield* settled(secret.versions())
      return ids.filter((id) => !tried.has(id)).map((VersionId) => ({ VersionId }))
    } catch (error) {
      failures.push(error)
      return []
    }
  }

  async #read(choice: VersionChoice): Promise<SecretVersion> {
    const secret = await this.#secret()
    const version = await secret.read(this.#native, choice)
    if (!this.#closed) return version
    this.#native.keyRelease(version.key)
    throw new AsherahError('ERR_CLOSED', 'The Secrets Manager KMS was closed: make a new one.')
  }

  #open(encryptedKey: Uint8Array, { key }: SecretVersion): KeyHandle | undefined {
    const opened = this.#native.keyUnwrap(encryptedKey, key)
    return opened === unwrapAuthentication ? undefined : (checked(opened) as KeyHandle)
  }

  #told(key: KeyHandle, version: SecretVersion): KeyHandle {
    if (version === this.#current) return key
    kmsReport.oldVersionUsed()
    this.#keep(version)
    return key
  }

  #keep(version: SecretVersion): void {
    this.#earlier.delete(version.id)
    this.#earlier.set(version.id, version)
    for (const [id, { key }] of this.#earlier) {
      if (this.#earlier.size <= mostHeld) break
      this.#earlier.delete(id)
      this.#native.keyRelease(key)
    }
  }
}

function failed(what: string, failures: readonly unknown[]): AsherahError {
  const own = failures.find((error) => error instanceof AsherahError)
  if (own instanceof AsherahError && failures.length === 1) return own
  const names = failures.map((error) =>
    error instanceof AsherahError ? error.code : error instanceof Error ? error.name : typeof error,
  )
  const told = names.length === 0 ? '' : ` (${[...new Set(names)].join(', ')}, the cause of this error)`
  const cause = failures.length === 1 ? failures[0] : new AggregateError(failures, 'several calls failed')
  return new AsherahError(
    'ERR_KMS',
    `The secret ${what}${told}. Check secretsManagerSecretId, its region, and that secretsmanager:GetSecretValue and ` +
      'secretsmanager:ListSecretVersionIds are allowed. Keys in memory serve on.',
    failures.length === 0 ? {} : { cause },
  )
}
