export { type Config, type ResolvedConfig, resolveConfig } from '../config/config.ts'
export { nearest } from '../config/nearest.ts'
export type { ConfigProblem } from '../config/problems.ts'
export {
  type ForeignVariable,
  foreignVariables,
  type KeyName,
  type KeySpec,
  type KeyType,
  keyNames,
  schema,
} from '../config/schema.ts'
export { createTable } from '../metastore/create-table.ts'
export type { EnvelopeKeyRecord, KeyMeta, Metastore } from '../metastore/metastore.ts'
export { type MetastoreSchema, metastoreSchema } from './create-schema.ts'
export { guardedMemoryStatus } from './guarded-memory-health.ts'
export { clockFinding, type Finding, fault, type HealthCheck, ok, warning } from './health.ts'
export { KeyRotation } from './key-rotation.ts'
export type { DamagedRow, KeyPage, KeyQuery, KeyRow } from './key-row.ts'
export {
  type ConfigLayers,
  type ConfigOrigin,
  type MergedConfig,
  mergeLayers,
  resolveLayers,
} from './layered-config.ts'
export { MetastoreAdmin } from './metastore-admin.ts'
export { metastoreChecks } from './metastore-health.ts'
export {
  metastoreAdminOf,
  type OpenedMetastore,
  openMetastoreAdmin,
  openMetastoreAndAdmin,
} from './open-admin.ts'
export { openRecordDatabase, type RecordDatabase, type RecordServer } from './record-database.ts'
export { type ServiceKey, ServiceKeyIds } from './service-keys.ts'
export { attributeOfFlag, flagOf, peerVariables, variableOf, variableOfFlag } from './setting-names.ts'
export { type ParsedText, parseBoolean, parseDuration, parseList, parseMap } from './setting-text.ts'
export { OpenSystemKey, SystemKeySealer } from './system-key-sealer.ts'
