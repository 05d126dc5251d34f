import type { AsherahConfig } from '../../packages/asherah/src/index.ts'

/** What one worker thread of the soaked process does. */
export interface LoadTask {
  readonly name: string
  readonly config: AsherahConfig
  readonly seed: number
  /** Partitions that all threads use all the time, and those that this one comes by in turn. */
  readonly hot: readonly string[]
  readonly swept: readonly string[]
  /** The file that gets a line for each sampled record, as `JournalEntry` of the racing processes. */
  readonly journal: string
}

/** What a thread is told: to begin nothing more, and, when all have finished, to close. */
export type LoadWord = 'end' | 'leave'

/** What a thread has done since it was started. */
export interface LoadReport {
  /** It has nothing under way any more. */
  readonly finished: boolean
  readonly encrypted: number
  readonly decrypted: number
  readonly sampled: number
  /** Swept partitions with at least one record. */
  readonly touched: number
  readonly ringFull: boolean
  /** Errors by code. */
  readonly errors: Readonly<Record<string, number>>
  /** Wrong results, and errors that are none of the library's or say something else than an outage. */
  readonly failures: readonly string[]
}

/** The soaked process: how it is started, and what it tells, once a second. */
export interface SubjectTask {
  readonly loads: readonly LoadTask[]
}

export interface SubjectReport {
  readonly loads: readonly LoadReport[]
}
