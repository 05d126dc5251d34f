/** What a run came to. */
export interface Counts {
  readonly rows: number
  /** Records that were sealed anew, or would be. */
  readonly renewed: number
  /** Records under a key that is neither too old nor revoked. */
  readonly current: number
  /** Values that are no record, and records that do not decrypt. */
  readonly unreadable: number
  /** Records that others held or changed at each attempt. */
  readonly busy: number
}

/** {@link Counts} that go on while a run does. */
export class Tally implements Counts {
  rows = 0
  renewed = 0
  current = 0
  unreadable = 0
  busy = 0

  constructor(counts?: Counts) {
    if (counts !== undefined) Object.assign(this, counts)
  }
}
