import { Log } from '../observability/log.ts'
import { metrics } from '../observability/metrics.ts'

const log = new Log('asherah::kms', false)

let toldOfOldVersion = false

/** What operators should hear of a KMS that goes on working. */
export const kmsReport = {
  /** A new system key was sealed without this region, which will not be able to open it. */
  regionLeftOut(region: string, error: unknown): void {
    metrics.regionLeftOut(region)
    log.warnOnceAMinute(
      `AWS KMS of the region '${region}' did not seal a new system key; that key can be read through the other regions only`,
      error,
    )
  },

  /** A system key was opened, or a new one sealed, by way of another region. */
  regionPassedOver(region: string, error: unknown): void {
    log.warnOnceAMinute(`AWS KMS of the region '${region}' failed, and the next one is asked`, error)
  },

  /** An old version of the secret opened a system key. */
  oldVersionUsed(): void {
    if (toldOfOldVersion) return
    toldOfOldVersion = true
    log.warn(
      'A system key was opened with an earlier version of its Secrets Manager secret. Secrets Manager removes versions ' +
        'without a label when there are over 100: keep those that sealed system keys whose records are still read.',
    )
  },

  /** The secret could not be looked up again; what is held is used on. */
  secretNotRefreshed(error: unknown): void {
    log.warnOnceAMinute('Secrets Manager could not be asked for a new version of the secret', error)
  },

  /** Vault is addressed by plain HTTP, beyond this host. */
  vaultWithoutTls(): void {
    log.warn(
      'Vault is addressed without TLS: system keys and tokens cross the network in clear. Use an https:// address.',
    )
  },

  /** Vault's token could not be renewed; a new login follows when it can be. */
  tokenNotRenewed(error: unknown): void {
    log.warnOnceAMinute("Vault's token could not be renewed", error)
  },
} as const
