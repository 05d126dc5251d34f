import type { Progress } from './progress.ts'
import type { RowStore } from './row-store.ts'
import type { Source } from './source.ts'

/** What sealing and checking work with. */
export interface Work {
  readonly source: Source
  readonly store: RowStore
  readonly masterKeyHex: string
  readonly progress: Progress
  /** Ends the work after the rows at hand. */
  readonly stop: AbortSignal
}
