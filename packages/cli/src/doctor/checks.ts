import { statSync } from 'node:fs'
import { AsherahError } from 'asherah'
import {
  type Config,
  clockFinding,
  type Finding,
  fault,
  guardedMemoryStatus,
  type HealthCheck,
  type MetastoreAdmin,
  ok,
  type ServiceKeyIds,
  type SystemKeySealer,
  warning,
} from 'asherah/admin'
import type { CommandContext } from '../command-context.ts'
import type { Environment } from '../configuration/sources.ts'
import { unreadVariables } from '../configuration/unread-variables.ts'
import { type Endpoint, kmsEndpoints, metastoreEndpoints } from './endpoints.ts'
import { httpClock } from './http-clock.ts'

const raise =
  'Raise the limit (ulimit -l, LimitMEMLOCK= of systemd, --ulimit memlock of a container), or lower hotSlots.'

/** The configuration that was read: where from, who can read it, and what the library has to remark. */
export function configurationFindings(context: CommandContext, config: Config): readonly Finding[] {
  const { path } = context.sources()
  const { origins } = context.merged()
  const findings: Finding[] = config.notices.map((notice) =>
    warning(notice, 'Change the configuration, or leave it where this is meant.'),
  )
  const secretsInFile = ['staticMasterKeyHex', 'vaultToken', 'vaultApproleSecretId'].filter(
    (key) => origins.get(key as 'vaultToken') === 'file',
  )
  const sharedSecret =
    config.metastore.kind === 'rdbms' && origins.get('connectionString') === 'file'
      ? ['connectionString', ...secretsInFile]
      : secretsInFile
  if (path !== undefined && sharedSecret.length > 0 && (statSync(path).mode & 0o077) !== 0) {
    findings.push(
      warning(`${path} holds ${sharedSecret.join(', ')}, and other users may read it.`, `chmod 600 ${path}`),
    )
  }
  const where = path === undefined ? 'flags and variables' : path
  findings.unshift(ok(`${config.serviceName}, ${config.productId}: ${describe(config)}; from ${where}.`))
  return findings
}

/** Misspelt variables, which would otherwise be passed over in silence. */
export async function variableFindings(environment: Environment): Promise<readonly Finding[]> {
  const unread = await unreadVariables(environment)
  return unread.map(({ name, nearest }) =>
    warning(
      `nothing reads the variable ${name}`,
      nearest === undefined ? 'asherah configuration lists all of them.' : `Was ${nearest} meant?`,
    ),
  )
}

function describe({ metastore, kms }: Config): string {
  const store = metastore.kind === 'rdbms' ? metastore.dialect : metastore.kind
  return `metastore ${store}, KMS ${kms.kind}`
}

/** The native addon, and the memory that it may lock. */
export function memoryChecks(config: Config): readonly HealthCheck[] {
  return [
    {
      name: 'addon',
      run: async () => [ok(`The native addon ${guardedMemoryStatus(config).version} is loaded.`)],
    },
    { name: 'locked memory', run: async () => [lockFinding(config)] },
  ]
}

function lockFinding(config: Config): Finding {
  const { lockLimitBytes, lockedBytes, unlockedBytes, hotSlots, hotSlotsWanted } = guardedMemoryStatus(config)
  const limit = lockLimitBytes === undefined ? 'no limit' : `a limit of ${lockLimitBytes} bytes`
  if (unlockedBytes > 0) {
    const message = `Memory for keys cannot be locked (${limit}): ${unlockedBytes} bytes of it may be swapped out.`
    return config.memory.requireLocked ? fault(message, raise) : warning(message, raise)
  }
  if (hotSlots < hotSlotsWanted) {
    return warning(`The system leaves room for ${hotSlots} of ${hotSlotsWanted} hot slots (${limit}).`, raise)
  }
  return ok(`${lockedBytes} bytes are locked, with ${limit}.`)
}

/** A round trip of a fresh key at each place of the KMS. */
export function kmsChecks(sealer: SystemKeySealer): readonly HealthCheck[] {
  return sealer.places.map((place) => ({
    name: `KMS: ${place}`,
    run: async () => {
      const key = sealer.generate()
      try {
        const again = await sealer.unwrap(await sealer.wrap(key, place), place)
        const same = again.isSameAs(key)
        again.release()
        if (same) return [ok('A key was sealed and opened again.')]
        return [
          fault(
            'A key that was sealed came back as another one.',
            'Look into what stands between here and the KMS.',
          ),
        ]
      } finally {
        key.release()
      }
    },
  }))
}

/** The clocks of what is reached by HTTP. */
export function clockChecks(context: CommandContext, config: Config): readonly HealthCheck[] {
  const { environment } = context.host
  const check = (kind: string, { name, url, ca }: Endpoint): HealthCheck => ({
    name: `${kind}: clock`,
    run: async () => {
      let difference: number | undefined
      try {
        difference = await httpClock(url, config.limits.connectTimeoutMs, ca)
      } catch {
        // Whether it can be reached is another check's; there it is told with what to do.
        return [
          warning(
            `The clock of ${name} could not be read: it gave no answer.`,
            'See what is said of it above.',
          ),
        ]
      }
      if (difference === undefined) return [ok(`${name} does not tell its time.`)]
      return [clockFinding(name, difference)]
    },
  })
  return [
    ...metastoreEndpoints(config, environment).map((endpoint) => check('metastore', endpoint)),
    ...kmsEndpoints(config, environment).map((endpoint) => check('KMS', endpoint)),
  ]
}

/** The keys that are there: whether this KMS opens the system keys, everywhere, and whether any row is damaged. */
export function keyChecks(
  admin: MetastoreAdmin,
  ids: ServiceKeyIds,
  sealer: SystemKeySealer | undefined,
): readonly HealthCheck[] {
  return [
    { name: 'keys: rows', run: () => damagedRows(admin) },
    ...(sealer === undefined
      ? []
      : [{ name: 'keys: system keys', run: () => systemKeys(admin, ids, sealer) }]),
  ]
}

/** Enough to show what a wrong tool or a wrong type of column does; all of them would take too long. */
const mostRows = 10_000

async function damagedRows(admin: MetastoreAdmin): Promise<readonly Finding[]> {
  const { rows, damaged } = await admin.list({ prefix: '_', limit: mostRows })
  const [first] = damaged
  const count = rows.length === mostRows ? `the first ${mostRows}` : `all ${rows.length + damaged.length}`
  if (first === undefined) return [ok(`No row is damaged, of ${count}.`)]
  return [
    fault(
      `${damaged.length} rows cannot be understood, of ${count}, such as ${JSON.stringify(first.keyId)} of ${first.created}.`,
      'Restore them from a backup: what was sealed under them cannot be read without them.',
    ),
  ]
}

async function systemKeys(
  admin: MetastoreAdmin,
  ids: ServiceKeyIds,
  sealer: SystemKeySealer,
): Promise<readonly Finding[]> {
  const failures: string[] = []
  let partly = 0
  let count = 0
  for (const keyId of ids.systemKeyIds) {
    for await (const { record } of admin.rows({ keyId })) {
      count += 1
      const why = await sealer.whyNotSealedEverywhere(record.encryptedKey)
      if (why === undefined) continue
      try {
        const key = await sealer.unwrap(record.encryptedKey)
        key.release()
        partly += 1
      } catch (error) {
        failures.push(error instanceof AsherahError ? error.message : String(error))
      }
    }
  }
  if (failures.length > 0) {
    return [
      fault(
        `${failures.length} of ${count} system keys do not open. The first one: ${failures[0]}`,
        'Configure the KMS and the key that sealed them, or move them: asherah keys rewrap --to-config FILE',
      ),
    ]
  }
  if (partly > 0) {
    return [
      warning(
        `${partly} of ${count} system keys cannot be opened in every configured region by itself.`,
        'asherah keys rewrap --to-config with this very configuration seals them in all regions.',
      ),
    ]
  }
  return [ok(count === 0 ? 'There are none yet.' : `All ${count} open, in each place.`)]
}
