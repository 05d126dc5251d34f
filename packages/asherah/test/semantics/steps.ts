export const expireAfterSeconds = 6 * 3600
export const checkIntervalSeconds = 3600

/** Ids that are prefixes of each other, look like parts of key ids, or differ only in how they are written. */
export const partitions = [
  'a',
  'a_api',
  'a_api_catalog',
  'a_api_catalog_eu-west-1',
  '_',
  'a\u0301',
  '\u00e1',
  'a"\\\n',
  '😀',
] as const

/** One thing that happens. Numbers that choose something are taken modulo how many there are. */
export type Step =
  | { readonly kind: 'encrypt'; readonly process: number; readonly partition: number }
  | { readonly kind: 'decrypt'; readonly process: number; readonly record: number }
  /** Many calls at once; `downAfter`: turns of the event loop after which a backend goes down. */
  | { readonly kind: 'together'; readonly calls: readonly Call[]; readonly downAfter: number | undefined }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'revoke'; readonly row: number }
  /** A process ends, and starts again with a clock that is off by so much. */
  | { readonly kind: 'restart'; readonly process: number; readonly skewMs: number }
  | { readonly kind: 'outage'; readonly backend: 'metastore' | 'kms'; readonly down: boolean }

export interface Call {
  readonly process: number
  readonly partition: number
}

export interface Setting {
  /** Region suffix and clock skew of each process. */
  readonly processes: readonly { readonly suffix: string; readonly skewMs: number }[]
  /** Whether backends answer later. */
  readonly later: boolean
}
