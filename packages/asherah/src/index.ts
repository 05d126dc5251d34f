export type { Clock } from './clock.ts'
export type { AsherahConfig, CanonicalConfig } from './config/asherah-config.ts'
export { type ConfigProblem, ConfigurationError } from './config/problems.ts'
export { AsherahError, type AsherahErrorCode } from './errors.ts'
export type { KeyManagementService } from './kms/key-management-service.ts'
export type { MaybePromise } from './maybe-promise.ts'
export type { EnvelopeKeyRecord, KeyMeta, Metastore } from './metastore/metastore.ts'
export * from './module-api.ts'
export * from './module-api-legacy.ts'
export type { LogEvent, LogLevel } from './observability/log.ts'
export type { MetricEvent } from './observability/metrics.ts'
export type { DecryptedItem, DecryptedStringItem, EncryptedItem, ItemError } from './record-batch.ts'
export {
  type DataToSeal,
  type RecordFields,
  type RecordTimes,
  sealOverheadBytes,
  wrappedKeyBytes,
} from './record-fields.ts'
export { AsherahSession } from './session.ts'
export { type FactoryStats, SessionFactory } from './session-factory.ts'
export { version } from './version.ts'
