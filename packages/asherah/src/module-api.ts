import type { AsherahConfig, CanonicalConfig } from './config/asherah-config.ts'
import { applyToProcessEnvironment } from './config/environment.ts'
import { parseSetenv } from './config/setenv.ts'
import { AsherahError, argumentError } from './errors.ts'
import { installLogHook, type LogEvent } from './observability/log.ts'
import { installMetricsHook, type MetricEvent } from './observability/metrics.ts'
import type { DecryptedItem, DecryptedStringItem, EncryptedItem } from './record-batch.ts'
import type { AsherahSession } from './session.ts'
import { SessionCache } from './session-cache.ts'
import { SessionFactory } from './session-factory.ts'

export { clearPlaintext } from './native/clear-plaintext.ts'

interface Configured {
  readonly factory: SessionFactory
  /** Undefined with `enableSessionCaching: false`: each call makes, and closes, a session of its own. */
  readonly sessions: SessionCache | undefined
}

let configured: Configured | undefined
/** A second set-up is refused from the moment the first one starts. */
let settingUp: Configured | undefined

function begin(config: AsherahConfig | CanonicalConfig): Configured {
  if (configured !== undefined || settingUp !== undefined) {
    throw new AsherahError('ERR_ALREADY_CONFIGURED', 'asherah already configured; call shutdown() first')
  }
  const factory = new SessionFactory(config)
  const { enabled, ...settings } = factory.sessionCache
  return { factory, sessions: enabled ? new SessionCache(factory, settings) : undefined }
}

/**
 * Configures the process-wide instance that the functions of this module use.
 *
 * @throws AsherahError `ERR_ALREADY_CONFIGURED`, and what {@link SessionFactory} throws
 * @example
 * ```ts
 * setup({ serviceName: 'api', productId: 'catalog', metastore: 'memory', kms: 'static' })
 * const record = encryptString('tenant-42', 'secret')
 * decryptString('tenant-42', record) // 'secret'
 * shutdown()
 * ```
 */
export function setup(config: AsherahConfig | CanonicalConfig): void {
  configured = begin(config)
}

/** {@link setup} that also opens the metastore and KMS, and rejects when they cannot be. */
export async function setupAsync(config: AsherahConfig | CanonicalConfig): Promise<void> {
  const starting = begin(config)
  settingUp = starting
  try {
    await starting.factory.opened()
    if (settingUp !== starting)
      throw new AsherahError('ERR_CLOSED', 'shutdown() was called during setupAsync().')
    configured = starting
  } catch (error) {
    await starting.factory.closeAsync()
    throw error
  } finally {
    if (settingUp === starting) settingUp = undefined
  }
}

/** Closes the process-wide instance; does nothing when there is none. */
export function shutdown(): void {
  takeDown()?.factory.close()
}

/** {@link shutdown}, and waits until accepted calls and connections have ended. */
export async function shutdownAsync(): Promise<void> {
  await takeDown()?.factory.closeAsync()
}

function takeDown(): Configured | undefined {
  const ended = configured ?? settingUp
  configured = undefined
  settingUp = undefined
  ended?.sessions?.close()
  return ended
}

/** Whether {@link setup} was called and {@link shutdown} was not. */
export function getSetupStatus(): boolean {
  return configured !== undefined
}

/**
 * Sets environment variables of this process before {@link setup}: an object, its JSON text, or `KEY=VALUE` lines with
 * `#` comments. null removes a variable.
 */
export function setenv(changes: string | Readonly<Record<string, string | number | boolean | null>>): void {
  applyToProcessEnvironment(parseSetenv(changes))
}

/** Runs one call on a partition's session. */
function withSession<T>(partitionId: string, call: (session: AsherahSession) => T): T {
  if (configured === undefined)
    throw new AsherahError('ERR_NOT_CONFIGURED', 'asherah not configured; call setup() first')
  if (configured.sessions !== undefined) return call(configured.sessions.get(partitionId))
  const session = configured.factory.getSession(partitionId)
  try {
    return call(session)
  } finally {
    session.close()
  }
}

/** {@link AsherahSession.encrypt} for a partition. */
export function encrypt(partitionId: string, data: Uint8Array): string {
  return withSession(partitionId, (session) => session.encrypt(data))
}

/** {@link AsherahSession.encryptString} for a partition. */
export function encryptString(partitionId: string, text: string): string {
  return withSession(partitionId, (session) => session.encryptString(text))
}

/** {@link AsherahSession.decrypt} for a partition. */
export function decrypt(partitionId: string, record: string | Uint8Array): Buffer {
  return withSession(partitionId, (session) => session.decrypt(record))
}

/** {@link AsherahSession.decryptString} for a partition. */
export function decryptString(partitionId: string, record: string | Uint8Array): string {
  return withSession(partitionId, (session) => session.decryptString(record))
}

/** {@link encrypt} without blocking. */
export async function encryptAsync(partitionId: string, data: Uint8Array): Promise<string> {
  return withSession(partitionId, (session) => session.encryptAsync(data))
}

/** {@link encryptString} without blocking. */
export async function encryptStringAsync(partitionId: string, text: string): Promise<string> {
  return withSession(partitionId, (session) => session.encryptStringAsync(text))
}

/** {@link decrypt} without blocking. */
export async function decryptAsync(partitionId: string, record: string | Uint8Array): Promise<Buffer> {
  return withSession(partitionId, (session) => session.decryptAsync(record))
}

/** {@link decryptString} without blocking. */
export async function decryptStringAsync(partitionId: string, record: string | Uint8Array): Promise<string> {
  return withSession(partitionId, (session) => session.decryptStringAsync(record))
}

/** {@link AsherahSession.encryptMany} for a partition. */
export function encryptMany(partitionId: string, datas: readonly Uint8Array[]): EncryptedItem[] {
  return withSession(partitionId, (session) => session.encryptMany(datas))
}

/** {@link AsherahSession.encryptStringMany} for a partition. */
export function encryptStringMany(partitionId: string, texts: readonly string[]): EncryptedItem[] {
  return withSession(partitionId, (session) => session.encryptStringMany(texts))
}

/** {@link AsherahSession.decryptMany} for a partition. */
export function decryptMany(partitionId: string, records: readonly (string | Uint8Array)[]): DecryptedItem[] {
  return withSession(partitionId, (session) => session.decryptMany(records))
}

/** {@link AsherahSession.decryptStringMany} for a partition. */
export function decryptStringMany(
  partitionId: string,
  records: readonly (string | Uint8Array)[],
): DecryptedStringItem[] {
  return withSession(partitionId, (session) => session.decryptStringMany(records))
}

/** {@link encryptMany} without blocking. */
export async function encryptManyAsync(
  partitionId: string,
  datas: readonly Uint8Array[],
): Promise<EncryptedItem[]> {
  return withSession(partitionId, (session) => session.encryptManyAsync(datas))
}

/** {@link encryptStringMany} without blocking. */
export async function encryptStringManyAsync(
  partitionId: string,
  texts: readonly string[],
): Promise<EncryptedItem[]> {
  return withSession(partitionId, (session) => session.encryptStringManyAsync(texts))
}

/** {@link decryptMany} without blocking. */
export async function decryptManyAsync(
  partitionId: string,
  records: readonly (string | Uint8Array)[],
): Promise<DecryptedItem[]> {
  return withSession(partitionId, (session) => session.decryptManyAsync(records))
}

/** {@link decryptStringMany} without blocking. */
export async function decryptStringManyAsync(
  partitionId: string,
  records: readonly (string | Uint8Array)[],
): Promise<DecryptedStringItem[]> {
  return withSession(partitionId, (session) => session.decryptStringManyAsync(records))
}

/**
 * Installs the log hook of this thread: `{level, message, target}`, from info on, with `verbose` from debug on; null
 * removes it. Events are delivered in a turn of their own, so a slow or throwing hook harms nothing.
 */
export function setLogHook(hook: ((event: LogEvent) => void) | null): void {
  installLogHook(requireHook('setLogHook', hook))
}

/** Installs the metrics hook of this thread ({@link MetricEvent}); null removes it. Nothing is measured without one. */
export function setMetricsHook(hook: ((event: MetricEvent) => void) | null): void {
  installMetricsHook(requireHook('setMetricsHook', hook))
}

function requireHook<Hook>(name: string, hook: Hook | null | undefined): Hook | undefined {
  if (hook === null || hook === undefined) return undefined
  if (typeof hook !== 'function') throw argumentError(`The hook of ${name}`, 'a function or null', hook)
  return hook
}
