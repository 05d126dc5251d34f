import { randomBytes } from 'node:crypto'
import type { AsherahSession } from '../../src/index.ts'
import type { EnvelopeKeyRecord, KeyMeta } from '../../src/metastore/metastore.ts'
import { day, ik, minute, seal, sealRecord, sk, World } from '../support/world.ts'
import type { Case } from './cases.ts'

const region = 'here'
const partition = 'p'
const ikId = `${ik(partition)}_${region}`
const skId = `${sk}_${region}`
/** The parent that is not the service's latest system key: one of the time before the region suffix. */
const oldSkId = sk
const intervalSeconds = 3600

export const plaintext = 'what the record holds'

/** A case, made real. */
export interface Arranged {
  readonly world: World
  readonly session: AsherahSession
  readonly record: string
  /** Of the intermediate key that the partition has, or had; in Unix seconds. */
  readonly oldCreated: number
  /** What a key made now is dated. */
  readonly newCreated: number
  /** The service's system key, whatever became of its row: a process that holds it may go on to use it. */
  readonly systemKey: (parent: KeyMeta) => Uint8Array | undefined
  readonly rowsBefore: ReadonlyMap<string, EnvelopeKeyRecord>
  close(): void
}

/** The time at which the call is made, and how long before it the process looked at its keys. */
const askedAt = Date.UTC(2026, 5, 1, 12, 0, 30)
const ageMs: Readonly<Record<Case['ring'], number>> = {
  fresh: 0.5 * intervalSeconds * 1000,
  due: 1.5 * intervalSeconds * 1000,
  overdue: 2.5 * intervalSeconds * 1000,
  'not in the ring': 0,
  'only the system key, fresh': 0.5 * intervalSeconds * 1000,
  'only the system key, due': 1.5 * intervalSeconds * 1000,
}

/** Keys that expire were still valid when the process looked, and ended some minutes before the call. */
const endedAt = seconds(askedAt - 90 * day - 10 * minute)
const youngAt = seconds(askedAt - 5 * day)
const oldAt = seconds(askedAt - 9 * day)

export function arrange(given: Case): Arranged {
  const world = new World(askedAt - ageMs[given.ring])
  const keys = { old: randomBytes(32), system: randomBytes(32), intermediate: randomBytes(32) }
  const skCreated = given.systemKey === 'expired' ? endedAt : youngAt
  const ikCreated = given.intermediateKey === 'expired' ? endedAt : youngAt
  const isOrphan = given.intermediateKey.startsWith('parent')
  const parent = isOrphan
    ? { key: keys.old, meta: { keyId: oldSkId, created: oldAt } }
    : { key: keys.system, meta: { keyId: skId, created: skCreated } }
  world.insert(oldSkId, { created: oldAt, encryptedKey: world.wrap(keys.old) })
  world.insert(skId, { created: skCreated, encryptedKey: world.wrap(keys.system) })
  world.insert(ikId, {
    created: ikCreated,
    encryptedKey: seal(keys.intermediate, parent.key),
    parentKeyMeta: parent.meta,
  })

  const factory = world.factory({ regionSuffix: region, checkInterval: intervalSeconds })
  if (given.ring.startsWith('only')) factory.getSession('another').encryptString('makes a key under it')
  const session = factory.getSession(partition)
  if (['fresh', 'due', 'overdue'].includes(given.ring)) session.encryptString('brings the key')

  const change = (
    id: string,
    created: number,
    encryptedKey: (row: EnvelopeKeyRecord) => Uint8Array,
  ): void => {
    const row = world.rows.get(id)?.get(created)
    if (row === undefined) throw new Error(`no row ${id} ${created}`)
    world.rows.get(id)?.set(created, { ...row, encryptedKey: encryptedKey(row) })
  }
  if (given.intermediateKey === 'absent') world.remove(ikId, ikCreated)
  if (given.intermediateKey === 'revoked') world.revoke(ikId, ikCreated)
  if (given.intermediateKey === 'corrupt') change(ikId, ikCreated, damaged)
  if (given.intermediateKey === 'parent missing') world.remove(oldSkId, oldAt)
  if (given.intermediateKey === 'parent corrupt') change(oldSkId, oldAt, damaged)
  if (given.systemKey === 'absent') world.remove(skId, skCreated)
  if (given.systemKey === 'revoked') world.revoke(skId, skCreated)
  if (given.systemKey === 'parent missing') change(skId, skCreated, () => world.wrap(keys.system, true))
  if (given.systemKey === 'parent corrupt') change(skId, skCreated, damaged)

  world.advance(ageMs[given.ring])
  world.later = given.form.backends === 'later'
  world.metastoreDown = given.metastore === 'down'
  world.kmsDown = given.kms === 'down'
  world.calls.length = 0
  return {
    world,
    session,
    record: sealRecord(plaintext, ikId, ikCreated, keys.intermediate),
    oldCreated: ikCreated,
    newCreated: seconds(askedAt),
    systemKey: ({ keyId, created }) => (keyId === skId && created === skCreated ? keys.system : undefined),
    rowsBefore: allRows(world),
    close: () => factory.close(),
  }
}

/** Truncated to the minute, as keys are dated. */
function seconds(ms: number): number {
  return Math.floor(ms / minute) * 60
}

function damaged({ encryptedKey }: EnvelopeKeyRecord): Uint8Array {
  return encryptedKey.map((byte, index) => (index === 7 ? byte ^ 1 : byte))
}

/** Every row by its id and created. */
export function allRows(world: World): Map<string, EnvelopeKeyRecord> {
  const rows = new Map<string, EnvelopeKeyRecord>()
  for (const [id, generations] of world.rows)
    for (const [created, row] of generations) rows.set(`${id} ${created}`, row)
  return rows
}

/** What the backends were asked since the last time, in the words of the rules; anything else is shown as it is. */
export function takeCalls({ world, oldCreated, newCreated, rowsBefore }: Arranged): string[] {
  const systemCreated = [...rowsBefore.keys()].filter((row) => row.startsWith(`${skId} `))[0]?.split(' ')[1]
  const words = new Map([
    [`latest ${ikId}`, 'latest IK'],
    [`load ${ikId} ${oldCreated}`, 'load IK'],
    [`store ${ikId} ${newCreated}`, 'store IK'],
    [`latest ${skId}`, 'latest SK'],
    [`load ${skId} ${systemCreated ?? youngAt}`, 'load SK'],
    [`store ${skId} ${newCreated}`, 'store SK'],
    [`load ${oldSkId} ${oldAt}`, 'load old SK'],
  ])
  const taken = world.calls.map((call) => words.get(call) ?? call)
  world.calls.length = 0
  return taken
}

/** The rows inserted since the case was made, in the words of the rules; a row that changed or went is an error. */
export function rowsWritten({ world, rowsBefore, newCreated }: Arranged): string[] {
  const rows = allRows(world)
  for (const [name, row] of rowsBefore)
    if (rows.get(name) !== row) throw new Error(`the row ${name} was overwritten`)
  const words = new Map([
    [`${skId} ${newCreated}`, 'SK'],
    [`${ikId} ${newCreated}`, 'IK'],
  ])
  return [...rows.keys()]
    .filter((name) => !rowsBefore.has(name))
    .map((name) => words.get(name) ?? name)
    .toSorted()
}
