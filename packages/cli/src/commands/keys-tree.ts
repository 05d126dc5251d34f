import type { KeyRow } from 'asherah/admin'
import type { CommandSpec } from '../command.ts'
import { CommandError } from '../command-error.ts'
import { type KeyState, stateOf } from '../key-view.ts'
import { withMetastore } from '../opened.ts'
import { printable } from '../printable.ts'
import { everyRow } from '../selection.ts'
import { shownAge, shownTime } from '../times.ts'

/** One system key and what is under it. */
interface Branch {
  readonly keyId: string
  readonly created: number
  /** `missing`: intermediate keys name it and it is not there. */
  readonly state: KeyState | 'missing'
  children: number
  oldest: number
  newest: number
  readonly states: Record<KeyState, number>
  /** The first few, or all of them. */
  readonly shown: { readonly keyId: string; readonly created: number; readonly state: KeyState }[]
}

/** Draws the hierarchy: system keys, and under each how many intermediate keys there are and how old. */
export const keysTreeCommand: CommandSpec = {
  configured: true,
  destructive: false,
  declare: (command) => {
    command.option('--depth <number>', 'intermediate keys drawn under each system key', '5')
  },
  run: (context, { options }) =>
    withMetastore(context, async ({ admin, ids, config }) => {
      const depth = Number(options['depth'])
      if (!Number.isInteger(depth) || depth < 0) {
        throw new CommandError('ERR_USAGE', '--depth must be a whole number of 0 or more')
      }
      const branches = new Map<string, Branch>()
      for await (const row of everyRow(admin, { prefix: '_SK_' }, context.output)) {
        if (ids.identify(row.keyId)?.kind === 'system') {
          branches.set(nameOf(row), newBranch(row, stateOf(row, config)))
        }
      }
      for await (const row of everyRow(admin, { prefix: '_IK_' }, context.output)) {
        await context.checkInterrupted()
        const parent = row.record.parentKeyMeta
        if (ids.identify(row.keyId) === undefined || parent === undefined) continue
        const branch = branches.get(nameOf(parent)) ?? newBranch(parent, 'missing')
        branches.set(nameOf(parent), branch)
        grow(branch, row, stateOf(row, config), depth)
      }
      const sorted = [...branches.values()].toSorted(
        (one, other) => one.keyId.localeCompare(other.keyId) || one.created - other.created,
      )
      await context.output.heading(`service ${config.serviceName}, product ${config.productId}`)
      for (const branch of sorted) {
        const { shown: _, ...counts } = branch
        await context.output.tell(counts, () => draw(branch, branch === sorted.at(-1)))
      }
      if (sorted.length === 0) await context.output.heading('└─ no keys')
      return undefined
    }),
}

function nameOf({ keyId, created }: { readonly keyId: string; readonly created: number }): string {
  return `${created} ${keyId}`
}

function newBranch(
  { keyId, created }: { readonly keyId: string; readonly created: number },
  state: Branch['state'],
): Branch {
  const none = { children: 0, oldest: Number.POSITIVE_INFINITY, newest: Number.NEGATIVE_INFINITY }
  return { keyId, created, state, ...none, states: { valid: 0, expired: 0, revoked: 0 }, shown: [] }
}

function grow(branch: Branch, { keyId, created }: KeyRow, state: KeyState, depth: number): void {
  branch.children += 1
  branch.oldest = Math.min(branch.oldest, created)
  branch.newest = Math.max(branch.newest, created)
  branch.states[state] += 1
  if (branch.shown.length < depth) branch.shown.push({ keyId, created, state })
}

function draw(branch: Branch, last: boolean): string {
  const { keyId, created, state, children, shown } = branch
  const stem = last ? '   ' : '│  '
  const age = `${shownTime(created)}, ${shownAge(created)} old, ${state}`
  const lines = [
    `${last ? '└─' : '├─'} ${printable(keyId)}  ${age}`,
    `${stem}${children === 0 ? '' : '│  '}${summary(branch)}`,
  ]
  for (const [index, child] of shown.entries()) {
    const fork = index === shown.length - 1 && shown.length === children ? '└─' : '├─'
    lines.push(`${stem}${fork} ${printable(child.keyId)}  ${shownAge(child.created)} old, ${child.state}`)
  }
  if (shown.length < children) lines.push(`${stem}└─ and ${children - shown.length} more`)
  return lines.join('\n')
}

function summary({ children, oldest, newest, states }: Branch): string {
  if (children === 0) return 'no intermediate keys'
  const counts = Object.entries(states).flatMap(([state, count]) =>
    count === 0 ? [] : [`${count} ${state}`],
  )
  const noun = children === 1 ? 'intermediate key' : 'intermediate keys'
  return `${children} ${noun} (${counts.join(', ')}), ${shownAge(newest)} to ${shownAge(oldest)} old`
}
