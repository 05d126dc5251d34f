import type { Case } from './cases.ts'

/**
 * The state table's rules: a second statement of when a key is used, looked up, made or refused, to be read beside the
 * design, that shares nothing with the engine. A case walks from stage to stage: a stage that is a call of a backend is
 * noted as one, and the first of its lines whose condition holds says what comes next.
 */
type Line = readonly [holds: (at: Situation) => boolean, next: Stage | Outcome, why: string]

/** `same key`: the one that the partition has; `new key`: one made by this call. */
export type Outcome =
  | 'same key'
  | 'new key'
  | 'ERR_METASTORE'
  | 'ERR_KMS'
  | 'ERR_KEY_NOT_FOUND'
  | 'ERR_KEY_CORRUPT'
  | 'ERR_WOULD_BLOCK'

const table = {
  'look into the ring': [
    [(at) => !inRing(at), 'look', 'the key has to be brought'],
    [(at) => at.operation === 'encrypt' && datesAreOver(at), 'look', 'an expired key waits for a new one'],
    [(at) => at.ring === 'overdue', 'look', 'checked over 2I ago: the call waits for the check'],
    [always, 'same key', 'checked less than 2I ago: used, whatever is down'],
  ],
  look: [
    [(at) => at.operation === 'encrypt', 'latest IK', ''],
    [always, 'load IK', ''],
  ],
  'latest IK': [
    [(at) => down(at) && inRing(at) && !datesAreOver(at), 'same key', 'a failed check: the key serves on'],
    [down, 'ERR_METASTORE', 'an outage is an error, never a new key made blindly'],
    [(at) => isUnusable(at.intermediateKey), 'make', 'no row, or one that is expired or revoked'],
    [always, 'its parent', ''],
  ],
  'load IK': [
    [(at) => down(at) && inRing(at), 'same key', 'decrypt never fails because a check failed'],
    [down, 'ERR_METASTORE', ''],
    [(at) => at.intermediateKey === 'absent', 'ERR_KEY_NOT_FOUND', 'deleted: this is what shredding means'],
    [inRing, 'same key', 'expired and revoked keys decrypt; the parent plays no part'],
    [always, 'its parent', ''],
  ],
  'its parent': [
    [(at) => parentInRing(at) === 'fresh', 'judge the parent', 'checked less than I ago'],
    [always, 'load parent', 'the exact one that the row names'],
  ],
  'load parent': [
    [(at) => parentRow(at) === 'absent' && at.operation === 'encrypt', 'make', 'parent missing: a new key'],
    [
      (at) => parentRow(at) === 'absent',
      'ERR_KEY_NOT_FOUND',
      'parent missing: what it sealed cannot be read',
    ],
    [(at) => parentInRing(at) === 'due', 'judge the parent', 'a check reads the row, and asks no KMS'],
    [always, 'unwrap parent', ''],
  ],
  'unwrap parent': [
    [(at) => kmsRefuses(at, parentRow(at)), 'ERR_KMS', 'a KMS that fails is no reason for a new key'],
    [always, 'judge the parent', ''],
  ],
  'judge the parent': [
    [(at) => at.operation === 'decrypt', 'open IK', 'under expired and revoked parents alike'],
    [(at) => parentRow(at) === 'expired', 'make', 'a key ends with its parent'],
    [(at) => parentRow(at) === 'revoked' && at.calls.includes('load parent'), 'make', 'revoked, as was seen'],
    [always, 'open IK', ''],
  ],
  'open IK': [
    [inRing, 'same key', 'it is open already'],
    [(at) => at.intermediateKey !== 'corrupt', 'same key', ''],
    [(at) => at.operation === 'encrypt', 'make', 'a damaged key is replaced'],
    [always, 'ERR_KEY_CORRUPT', ''],
  ],
  make: [
    [
      (at) => latestInRing(at) === 'fresh' && at.systemKey !== 'expired',
      'store IK',
      'checked less than I ago',
    ],
    [always, 'latest SK', ''],
  ],
  'latest SK': [
    [(at) => isUnusable(at.systemKey), 'encryptKey', 'system keys are made for the same reasons'],
    [systemKeyIsOpen, 'store IK', 'a check asks no KMS'],
    [always, 'unwrap SK', ''],
  ],
  'unwrap SK': [
    [(at) => kmsRefuses(at, at.systemKey), 'ERR_KMS', 'a KMS that fails is no reason for a new system key'],
    [always, 'store IK', ''],
  ],
  encryptKey: [
    [(at) => at.kms === 'down', 'ERR_KMS', 'nothing was written'],
    [always, 'store SK', ''],
  ],
  'store SK': [[always, 'store IK', '']],
  'store IK': [[always, 'new key', '']],
} satisfies Record<string, readonly Line[]>

type Stage =
  | 'look into the ring'
  | 'look'
  | 'latest IK'
  | 'load IK'
  | 'its parent'
  | 'load parent'
  | 'unwrap parent'
  | 'judge the parent'
  | 'open IK'
  | 'make'
  | 'latest SK'
  | 'unwrap SK'
  | 'encryptKey'
  | 'store SK'
  | 'store IK'

/** The stages that are calls, by what the backends see. `old SK` is the parent that is not the service's latest. */
const calls: Partial<Record<Stage, (at: Case) => string>> = {
  'latest IK': () => 'latest IK',
  'load IK': () => 'load IK',
  'load parent': (at) => `load ${hasOtherParent(at) ? 'old SK' : 'SK'}`,
  'unwrap parent': () => 'decryptKey',
  'latest SK': () => 'latest SK',
  'unwrap SK': () => 'decryptKey',
  encryptKey: () => 'encryptKey',
  'store SK': () => 'store SK',
  'store IK': () => 'store IK',
}

interface Situation extends Case {
  /** The calls made so far, as stages. */
  readonly calls: readonly Stage[]
}

function always(): boolean {
  return true
}

function down(at: Case): boolean {
  return at.metastore === 'down'
}

function inRing(at: Case): boolean {
  return ['fresh', 'due', 'overdue'].includes(at.ring)
}

function isUnusable(row: string): boolean {
  return ['absent', 'expired', 'revoked'].includes(row)
}

function hasOtherParent(at: Case): boolean {
  return at.intermediateKey.startsWith('parent')
}

/** The row that the intermediate key names as its parent. */
function parentRow(at: Case): Case['systemKey'] {
  if (at.intermediateKey === 'parent missing') return 'absent'
  return at.intermediateKey === 'parent corrupt' ? 'parent corrupt' : at.systemKey
}

/** By the dates in memory: the earlier of a key's own expiry and its parent's. */
function datesAreOver(at: Case): boolean {
  return at.intermediateKey === 'expired' || parentRow(at) === 'expired'
}

/** A parent came into the ring with its child, or with another partition's; it is checked when it is I old. */
function parentInRing(at: Case): 'fresh' | 'due' | 'no' {
  if (inRing(at)) return at.ring === 'fresh' ? 'fresh' : 'due'
  return hasOtherParent(at) ? 'no' : latestInRing(at)
}

/** "The latest system key" is a question of its own, which only a process that made a key has asked. */
function latestInRing(at: Case): 'fresh' | 'due' | 'no' {
  if (at.ring === 'only the system key, fresh') return 'fresh'
  return at.ring === 'only the system key, due' ? 'due' : 'no'
}

function systemKeyIsOpen(at: Situation): boolean {
  if (latestInRing(at) !== 'no') return true
  return !hasOtherParent(at) && (inRing(at) || at.calls.includes('unwrap parent'))
}

function kmsRefuses(at: Case, row: Case['systemKey']): boolean {
  return at.kms === 'down' || row.startsWith('parent')
}

export interface Expectation {
  /** What the call answers with. */
  readonly answer: Outcome
  /** What the backends see before it answers, and what they see afterwards. */
  readonly during: readonly string[]
  readonly after: readonly string[]
  /** What the same call answers with when nothing is under way any more; a key costs no further call. */
  readonly again: Outcome
  /** The rows that were inserted. */
  readonly written: readonly ('SK' | 'IK')[]
}

export function expected(given: Case): Expectation {
  const isDue = given.ring === 'due' && !(given.operation === 'encrypt' && datesAreOver(given))
  const first = walk(given, 'look into the ring')
  const check = isDue ? walk(given, 'look') : first
  const written = (['IK', 'SK'] as const).filter((row) => check.seen.includes(`store ${row}`))
  const answer = first.outcome
  if (isDue) return { answer, during: [], after: check.seen, again: blocking(given, check.outcome), written }
  if (check.seen.length === 0) return { answer, during: [], after: [], again: answer, written }
  if (!cannotWait(given)) return { answer, during: check.seen, after: [], again: answer, written }
  // An overdue key is used rather than waited for; the check is made all the same.
  const isServable = inRing(given) && !(given.operation === 'encrypt' && datesAreOver(given))
  const [asked, ...rest] = check.seen
  return {
    answer: isServable ? 'same key' : 'ERR_WOULD_BLOCK',
    during: asked === undefined ? [] : [asked],
    after: rest,
    again: blocking(given, check.outcome),
    written,
  }
}

function cannotWait({ form }: Case): boolean {
  return form.call === 'synchronous' && form.backends === 'later'
}

/** Without a key in memory, a call that cannot wait is refused each time. */
function blocking(given: Case, outcome: Outcome): Outcome {
  return cannotWait(given) && outcome !== 'same key' && outcome !== 'new key' ? 'ERR_WOULD_BLOCK' : outcome
}

function walk(given: Case, from: Stage): { outcome: Outcome; seen: string[] } {
  const stages: Stage[] = []
  const seen: string[] = []
  let stage: Stage = from
  for (;;) {
    const call = calls[stage]
    if (call !== undefined) {
      stages.push(stage)
      seen.push(call(given))
    }
    const at = { ...given, calls: stages }
    const lines: readonly Line[] = table[stage]
    const line = lines.find(([holds]) => holds(at))
    if (line === undefined) throw new Error(`no line of ${stage} holds`)
    const [, next] = line
    if (!(next in table)) return { outcome: next as Outcome, seen }
    stage = next as Stage
  }
}
